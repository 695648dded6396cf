"""The backbone for training: what `NoraModel.prefix` computes, for whole batches of equal pictures.

`transformers` attends to one window of one picture after the other, passes every layer and computes all logits. Here pictures
and windows are one batch, padding stands on the right where a causal mask hides it by itself, and what nobody asks for is
left out. Weights are the model's own. Shapes: B pictures, P prompt length, H hidden, d head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.vision_utils import get_vision_position_ids, get_vision_window_index

from ...policies.nora.config import NoraConfig
from ...policies.nora.model.reference import NoraModel


@dataclass(frozen=True, slots=True)
class BackboneOutput:
    """What the backbone made of pictures and instructions."""

    cache: list[tuple[Tensor, Tensor]]
    """Per layer, keys (rotated) and values [B, key-value heads, P, d]."""
    image: Tensor
    """[B, image tokens, H] as they enter the language model."""
    last: Tensor
    """[B, P, H] as they enter the last layer: the latest that an expert can attend to."""
    logits: Tensor | None
    """[B, P, vocabulary]; None where they were not wanted."""


class Backbone(nn.Module):
    """Batched passes through a model's backbone."""

    order: Tensor
    back: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(self, model: NoraModel, *, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self._held = (model,)  # not as a part: its parameters belong to the objective
        self.checkpointing = gradient_checkpointing
        windows = _Windows(model.config)
        self.count = windows.count
        for name in ("order", "back", "cos", "sin"):
            self.register_buffer(name, getattr(windows, name), persistent=False)

    @property
    def model(self) -> NoraModel:
        """Whose backbone it is."""
        return self._held[0]

    def forward(self, ids: Tensor, positions: Tensor, pixels: Tensor, *, logits: bool) -> BackboneOutput:
        """One pass.

        Args:
            ids: [B, P] token ids, padded on the right.
            positions: [3, B, P] rotary positions.
            pixels: [B, patches, values].
            logits: whether they are wanted; without them the last layer only makes keys and values.
        """
        image = self.look(pixels)
        text: Any = self.model.vlm.model.language_model
        places = ids == self.model.config.backbone["image_token_id"]
        hidden = text.embed_tokens(ids)
        hidden = hidden.masked_scatter(places[..., None], image.to(hidden.dtype))
        rope = text.rotary_emb(hidden, positions)
        cache, last = [], hidden
        for index, layer in enumerate(text.layers):
            final = index == len(text.layers) - 1
            last = hidden
            hidden, kv = self._run(_decode, layer, hidden, rope, final and not logits)
            cache.append(kv)
        scores = self.model.vlm.lm_head(_norm(text.norm, hidden)) if logits else None
        return BackboneOutput(cache, image, last, scores)

    def look(self, pixels: Tensor) -> Tensor:
        """[B, image tokens, H] of pictures."""
        visual: Any = self.model.vlm.model.visual
        unit = visual.spatial_merge_unit
        x = F.linear(pixels, visual.patch_embed.proj.weight.flatten(1))
        x = x.unflatten(1, (-1, unit))[:, self.order].flatten(1, 2)
        for index, block in enumerate(visual.blocks):
            windows = 1 if index in visual.fullatt_block_indexes else self.count
            x = self._run(_see, block, x, (self.cos, self.sin), windows)
        merged = visual.merger.mlp(_norm(visual.merger.ln_q, x).unflatten(1, (-1, unit)).flatten(2))
        return merged[:, self.back]

    def _run(self, layer: Any, *inputs: Any) -> Any:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)


class _Windows:
    """Order of the merge groups, rotary tables in that order, number of windows."""

    def __init__(self, config: NoraConfig) -> None:
        vision = config.backbone["vision_config"]
        side, merge = config.image_size // config.patch, config.merge
        grid = torch.tensor([[1, side, side]])
        self.order, bounds = get_vision_window_index(grid, merge, vision["window_size"], config.patch)
        self.back = torch.argsort(self.order)
        sizes = set(torch.diff(torch.unique_consecutive(torch.as_tensor(bounds))).tolist())
        if len(sizes) != 1:
            raise ValueError(f"windows of {vision['window_size']} px do not divide a picture of {config.image_size} px")
        self.count = side * side // sizes.pop()
        self.cos, self.sin = self._tables(get_vision_position_ids(grid, merge), vision, merge)

    def _tables(self, places: Tensor, vision: Any, merge: int) -> tuple[Tensor, Tensor]:
        quarter = vision["hidden_size"] // vision["num_heads"] // 4
        frequencies = 10_000.0 ** -(torch.arange(quarter) / quarter)
        angles = (places[..., None].float() * frequencies).flatten(-2)
        angles = angles.unflatten(0, (-1, merge * merge))[self.order].flatten(0, 1)
        return angles.cos(), angles.sin()


def _see(block: Any, x: Tensor, tables: tuple[Tensor, Tensor], windows: int) -> Tensor:
    """One layer of the vision encoder on [B, patches, hidden]."""
    attention = block.attn
    q, k, v = attention.qkv(_norm(block.norm1, x)).unflatten(-1, (3, attention.num_heads, -1)).transpose(1, 3).unbind(2)
    q, k = (_rotate(part, *tables) for part in (q, k))
    q, k, v = (part.unflatten(2, (windows, -1)).transpose(1, 2).flatten(0, 1) for part in (q, k, v))
    out = attend(q, k, v).unflatten(0, (-1, windows)).transpose(1, 2).flatten(2, 3)
    x = x + attention.proj(out.transpose(1, 2).flatten(2))
    return x + block.mlp(_norm(block.norm2, x))


def _decode(layer: Any, x: Tensor, rope: tuple[Tensor, Tensor], only_cache: bool) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One layer of the language model on [B, P, hidden], and its keys and values."""
    attention, half = layer.self_attn, rope[0].shape[-1] // 2
    tables = tuple(table[:, None, :, :half] for table in rope)
    normed = _norm(layer.input_layernorm, x)
    k, v = (p(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for p in (attention.k_proj, attention.v_proj))
    k = _rotate(k, *tables)
    if only_cache:
        return x, (k, v)
    q = _rotate(attention.q_proj(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2), *tables)
    x = x + attention.o_proj(attend(q, k, v, causal=True).transpose(1, 2).flatten(2))
    return x + layer.mlp(_norm(layer.post_attention_layernorm, x)), (k, v)


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention [B, heads, length, d]; `k` and `v` may have fewer heads, `mask` is True where seen.

    On a CPU in plain matrix products: torch's fused kernel is up to eight times slower backwards in bfloat16.
    """
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=True)
    group, length = q.shape[1] // k.shape[1], q.shape[2]
    q = (q * q.shape[-1] ** -0.5).unflatten(1, (-1, group)).flatten(2, 3)
    scores = (q @ k.transpose(-1, -2)).unflatten(2, (group, length))
    if causal:
        mask = torch.ones(length, length, dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        hidden = torch.zeros(mask.shape, dtype=scores.dtype).masked_fill_(~mask, torch.finfo(scores.dtype).min)
        scores = scores + (hidden if mask.ndim == 2 else hidden[:, :, None])
    weights = scores.softmax(-1).to(v.dtype).flatten(2, 3)
    return (weights @ v).unflatten(2, (group, length)).flatten(1, 2)


def _norm(norm: Any, x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), norm.weight.to(x.dtype), norm.variance_epsilon)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-split rotary embedding; tables hold one entry per pair of channels."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
