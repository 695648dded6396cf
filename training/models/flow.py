"""The flow expert for training: several noises and times per image share one pass of the backbone.

Computes what `NoraModel.velocity` does for each sample alone; the K samples of an image are queries side by side, each
attending to the prefix and its own actions. Shapes: B images, K samples, N actions of a chunk, A action size, P prefix,
d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ...policies.nora.model.expert import rotary
from ...policies.nora.model.functional import attend, decoder_block
from ...policies.nora.model.reference import NoraModel

Cache = Sequence[tuple[Tensor, Tensor]]


def sample_noise_and_times(shape: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(noise of that shape, times [B, K]) as released: standard normal, and `sample_times` of kind `beta`.

    Args:
        shape: B, K, N, A.
        generator: on the CPU.
    """
    noise = torch.randn(tuple(shape), generator=generator)
    return noise, sample_times(tuple(shape[:2]), "beta", generator)


def sample_times(shape: tuple[int, ...], kind: Literal["uniform", "beta"], generator: torch.Generator) -> Tensor:
    """Times of the flow: uniform over (0, 1), or 0.999 * Beta(1.5, 1) + 0.001."""
    uniform = torch.rand(shape, generator=generator)
    return uniform if kind == "uniform" else 0.999 * uniform.pow(1 / 1.5) + 0.001


def velocities(model: NoraModel, noisy_BKNA: Tensor, time_BK: Tensor, cache: Cache, prefix_mask_BP: Tensor) -> Tensor:
    """[B, K, N, A] float32 velocities of the flow.

    Args:
        model: with an expert.
        noisy_BKNA, time_BK: the samples.
        cache: per layer, keys (rotated) and values [B, key-value heads, P, d] of the backbone.
        prefix_mask_BP: bool; True where the prefix is neither padding nor an action token.
    """
    samples, actions = noisy_BKNA.shape[1:3]
    x = model.embed_actions(noisy_BKNA.flatten(0, 1), time_BK.flatten()).unflatten(0, (-1, samples)).flatten(1, 2)
    cos, sin = rotary(actions, model.config.head_size, x.device)
    rope = (cos.repeat(samples, 1), sin.repeat(samples, 1))
    mask = _mask(prefix_mask_BP, samples, actions)
    for layer, past in zip(model.action_expert.layers, cache, strict=True):

        def attend_to_all(q: Tensor, k: Tensor, v: Tensor, past: tuple[Tensor, Tensor] = past) -> Tensor:
            keys, values = (torch.cat([old.to(new.dtype), new], dim=2) for old, new in zip(past, (k, v), strict=True))
            return attend(q, keys, values, mask=mask, training=True)

        x = decoder_block(layer, x, rope, attend_to_all)[0]
    hidden = model.action_expert.norm(x)
    return model.action_out_proj(hidden.to(model.action_out_proj.weight.dtype)).float().unflatten(1, (samples, actions))


def _mask(prefix_mask_BP: Tensor, samples: int, actions: int) -> Tensor:
    """[B, 1, K * N, P + K * N] bool: True where a query attends to a key."""
    own = torch.block_diag(*[torch.ones(actions, actions)] * samples).bool().to(prefix_mask_BP.device)
    queries = samples * actions
    prefix = prefix_mask_BP[:, None].expand(-1, queries, -1)
    return torch.cat([prefix, own.expand(len(prefix), -1, -1)], dim=-1)[:, None]
