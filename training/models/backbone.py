"""The model for training: computes what `NoraModel.prefix` and `velocity` do, for whole batches of images of one size.

`transformers` attends to one window of one image after the other, runs every layer and computes all logits. Here images and
windows are one batch, padding is on the right, where a causal mask hides it, and outputs that are not needed are omitted.
Several noises and times per image share one pass of the backbone: the K samples of an image are queries of the flow expert side
by side, each attending to the prefix and its own actions. Weights are the model's own.

Shapes: B images, K samples, N actions of a chunk, A action size, P prompt length, H hidden, d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.vision_utils import get_vision_position_ids

from ...policies.nora.config import NoraConfig
from ...policies.nora.model.expert import rotary
from ...policies.nora.model.functional import (
    Kernels,
    Rope,
    attend,
    attend_within_windows,
    by_window,
    decoder_block,
    heads,
    rotate,
    separate,
    vision_block,
    window_order,
)
from ...policies.nora.model.reference import NoraModel


@dataclass(frozen=True, slots=True)
class BackboneOutput:
    """Backbone outputs for images and instructions."""

    cache: list[tuple[Tensor, Tensor]]
    """Per layer, keys (rotated) and values [B, key-value heads, P, d]."""
    image: Tensor
    """[B, image tokens, H] as they enter the language model."""
    last: Tensor
    """[B, P, H] as they enter the last layer: the last hidden state that an expert depends on."""
    logits: Tensor | None
    """[B, P, vocabulary], or [positions, vocabulary] of the requested ones; None where none were requested."""


class Backbone(nn.Module):
    """Batched passes through a model's backbone."""

    window_order: Tensor
    inverse_order: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(self, model: NoraModel, *, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self._held = (model,)  # hidden from nn.Module: its parameters belong to the objective
        self.checkpointing = gradient_checkpointing
        order, inverse, sizes = window_order(model.config)
        if len(set(sizes)) != 1:
            window, size = model.config.backbone["vision_config"]["window_size"], model.config.image_size
            raise ValueError(f"windows of {window} px do not divide an image of {size} px")
        self.windows = len(sizes)
        tables = (order, inverse, *_vision_tables(model.config, order))
        for name, table in zip(("window_order", "inverse_order", "cos", "sin"), tables, strict=True):
            self.register_buffer(name, table, persistent=False)

    @property
    def model(self) -> NoraModel:
        """The model whose backbone this runs."""
        return self._held[0]

    def forward(self, ids: Tensor, positions: Tensor, pixels: Tensor, *, logits: bool | Tensor) -> BackboneOutput:
        """Run the backbone.

        Args:
            ids: [B, P] token ids, padded on the right.
            positions: [3, B, P] rotary positions.
            pixels: [B, patches, values].
            logits: whether to compute them; a bool mask [B, P] requests some positions. Without logits the last layer computes
                keys and values only.
        """
        image = self._encode_images(pixels)
        text: Any = self.model.vlm.model.language_model
        places = ids == self.model.config.backbone["image_token_id"]
        hidden = text.embed_tokens(ids)
        hidden = hidden.masked_scatter(places[..., None], image.to(hidden.dtype))
        cos, sin = (table.chunk(2, dim=-1)[0][:, None] for table in text.rotary_emb(hidden, positions))
        cache = []
        *earlier, final = text.layers
        for layer in earlier:
            hidden, k, v = self._run(_decode, layer, hidden, (cos, sin))
            cache.append((k, v))
        if logits is False:
            return BackboneOutput([*cache, self._run(_keys_and_values, final, hidden, (cos, sin))], image, hidden, None)
        last, k, v = self._run(_decode, final, hidden, (cos, sin), None if logits is True else logits)
        return BackboneOutput([*cache, (k, v)], image, hidden, self.model.vlm.lm_head(_norm(text.norm, last)))

    def _encode_images(self, pixels: Tensor) -> Tensor:
        """[B, image tokens, H]"""
        visual: Any = self.model.vlm.model.visual
        unit = visual.spatial_merge_unit
        x = by_window(F.linear(pixels, visual.patch_embed.proj.weight.flatten(1)), self.window_order, unit)
        for index, block in enumerate(visual.blocks):
            windows = 1 if index in visual.fullatt_block_indexes else self.windows
            x = self._run(_encode, block, x, (self.cos, self.sin), windows)
        merged = visual.merger.mlp(_norm(visual.merger.ln_q, x).unflatten(1, (-1, unit)).flatten(2))
        return merged[:, self.inverse_order]

    def _run(self, layer: Any, *inputs: Any) -> Any:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)


def _vision_tables(config: NoraConfig, order: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine [P, d/2] of every patch's row and column, by window."""
    vision, side = config.backbone["vision_config"], config.image_size // config.patch
    quarter = vision["hidden_size"] // vision["num_heads"] // 4
    frequencies = 10_000.0 ** -(torch.arange(quarter) / quarter)
    places = get_vision_position_ids(torch.tensor([[1, side, side]]), config.merge)
    angles = by_window((places[..., None].float() * frequencies).flatten(-2)[None], order, config.merge**2)[0]
    return angles.cos(), angles.sin()


def _encode(block: Any, x: Tensor, rope: Rope, windows: int) -> Tensor:
    """One layer of the vision encoder."""
    attention = partial(attend_within_windows, windows=windows, training=True)
    return vision_block(block, x, rope, attention, KERNELS)


def _decode(layer: Any, x: Tensor, rope: Rope, wanted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """One layer of the language model, at the wanted positions, and its keys and values."""
    attention = partial(attend, causal=True, training=True)
    return decoder_block(layer, x, rope, attention, KERNELS, wanted)


def _keys_and_values(layer: Any, x: Tensor, rope: Rope) -> tuple[Tensor, Tensor]:
    """Keys and values of `_decode`, without the rest of the layer."""
    attention, normed = layer.self_attn, _norm(layer.input_layernorm, x)
    k, v = (heads(project(normed), attention.head_dim) for project in (attention.k_proj, attention.v_proj))
    return _rotate(k, *rope), v


def _queries_last(x: Tensor, first: nn.Linear, *others: nn.Linear) -> tuple[Tensor, ...]:
    """Project like `separate`, but sum gradients in the order of `_keys_and_values`: their last bits depend on it."""
    rest = separate(x, *others)
    return first(x), *rest


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate like `rotate`, in the type of `x`."""
    return rotate(x, cos.to(x.dtype), sin.to(x.dtype))


def _norm(norm: Any, x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), norm.weight.to(x.dtype), norm.variance_epsilon)


KERNELS = Kernels(_norm, _queries_last, _rotate)
"""All in the type of the computation, which autocast may have lowered."""


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
