"""The flow expert for training: several noises and times per picture share one pass of the backbone.

What `NoraModel.velocity` computes for each draw alone; the draws of a picture stand side by side as queries, each seeing
the prefix and its own actions. Shapes: B pictures, K draws, N actions of a chunk, A action size, P prefix, d head size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...policies.nora.model.expert import rotary
from ...policies.nora.model.functional import attend, decoder_block
from ...policies.nora.model.reference import NoraModel

Cache = Sequence[tuple[Tensor, Tensor]]


def flow_draws(shape: Sequence[int], draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """(noise of that shape, times [B, K]) as released: standard normal, and 0.999 Beta(1.5, 1) + 0.001.

    Args:
        shape: B, K, N, A.
        draw: a CPU generator.
    """
    noise = torch.randn(tuple(shape), generator=draw)
    return noise, 0.999 * torch.rand(tuple(shape[:2]), generator=draw).pow(1 / 1.5) + 0.001


def velocities(model: NoraModel, noisy_BKNA: Tensor, time_BK: Tensor, cache: Cache, prefix_mask_BP: Tensor) -> Tensor:
    """[B, K, N, A] float32: where the flow points.

    Args:
        model: with an expert.
        noisy_BKNA, time_BK: the draws.
        cache: per layer, keys (rotated) and values [B, key-value heads, P, d] of the backbone.
        prefix_mask_BP: bool; True where the prefix is neither padding nor an action token.
    """
    draws, actions = noisy_BKNA.shape[1:3]
    x = model.embed_actions(noisy_BKNA.flatten(0, 1), time_BK.flatten()).unflatten(0, (-1, draws)).flatten(1, 2)
    cos, sin = rotary(actions, model.config.head_size, x.device)
    rope = (cos.repeat(draws, 1), sin.repeat(draws, 1))
    mask = _mask(prefix_mask_BP, draws, actions)
    for layer, past in zip(model.action_expert.layers, cache, strict=True):

        def attend_to_all(q: Tensor, k: Tensor, v: Tensor, past: tuple[Tensor, Tensor] = past) -> Tensor:
            keys, values = (torch.cat([old.to(new.dtype), new], dim=2) for old, new in zip(past, (k, v), strict=True))
            return attend(q, keys, values, mask=mask, training=True)

        x = decoder_block(layer, x, rope, attend_to_all)[0]
    hidden = model.action_expert.norm(x)
    return model.action_out_proj(hidden.to(model.action_out_proj.weight.dtype)).float().unflatten(1, (draws, actions))


def _mask(prefix_mask_BP: Tensor, draws: int, actions: int) -> Tensor:
    """[B, 1, K * N, P + K * N] bool: True where a query sees a key."""
    own = torch.block_diag(*[torch.ones(actions, actions)] * draws).bool().to(prefix_mask_BP.device)
    queries = draws * actions
    prefix = prefix_mask_BP[:, None].expand(-1, queries, -1)
    return torch.cat([prefix, own.expand(len(prefix), -1, -1)], dim=-1)[:, None]
