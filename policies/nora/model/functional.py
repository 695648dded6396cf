"""The layers of the NORA models as functions, shared by inference (`engine.py`, `vision.py`), training and the expert.

Callers pass in what differs between them: `attend(q, k, v)`, which may read and write a cache, and the `Kernels` that compute
a layer's parts. Shapes: B rows, P tokens or patches, h heads, d head size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.vision_utils import get_vision_window_index

from ..config import NoraConfig

Rope = tuple[Tensor, Tensor]
"""Cosine and sine, one entry per pair of channels; broadcast against [B, h, P, d/2]."""
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of [..., P, d], channel i paired to i + d/2; computed in the tables' type and cast back."""
    a, b = x.to(cos.dtype).chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, mask: Tensor | None = None, training: bool = False
) -> Tensor:
    """Scaled dot-product attention [B, h, P, d]; `k` and `v` may have fewer heads, `mask` is True where a key is visible.

    `training` takes plain matrix products on a CPU: torch's fused kernel is up to eight times slower backwards in bfloat16.
    """
    if not training or q.device.type != "cpu":
        grouped = training or q.shape[1] != k.shape[1]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
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


def attend_within_windows(q: Tensor, k: Tensor, v: Tensor, windows: int, *, training: bool = False) -> Tensor:
    """Attend like `attend`, within equal windows that follow one another: windows become rows."""
    q, k, v = (part.unflatten(2, (windows, -1)).transpose(1, 2).flatten(0, 1) for part in (q, k, v))
    return attend(q, k, v, training=training).unflatten(0, (-1, windows)).transpose(1, 2).flatten(2, 3)


def window_order(config: NoraConfig) -> tuple[Tensor, Tensor, list[int]]:
    """(order of an image's merge groups by window, its inverse, patches in each window)."""
    side, window = config.image_size // config.patch, config.backbone["vision_config"].get("window_size", 112)
    order, bounds = get_vision_window_index(torch.tensor([[1, side, side]]), config.merge, window, config.patch)
    return order, torch.argsort(order), bounds.diff().tolist()


def by_window(x: Tensor, order: Tensor, unit: int) -> Tensor:
    """[B, P, ...] patches in the order of the windows; the `unit` patches of a merge group stay together."""
    return x.unflatten(1, (-1, unit))[:, order].flatten(1, 2)


def separate(x: Tensor, *linears: nn.Linear) -> tuple[Tensor, ...]:
    """Outputs of each layer for `x`, in one matrix product per layer."""
    return tuple(linear(x) for linear in linears)


@dataclass(frozen=True, slots=True)
class Kernels:
    """Functions that compute the parts of a layer: the same functions, other speed and rounding."""

    norm: Callable[[Any, Tensor], Tensor] = lambda module, x: module(x)
    """A normalisation module applied to a tensor."""
    project: Callable[..., tuple[Tensor, ...]] = separate
    """Linear layers applied to one tensor."""
    rotate: Callable[[Tensor, Tensor, Tensor], Tensor] = rotate


PLAIN = Kernels()


def heads(x: Tensor, size: int) -> Tensor:
    """[B, h, P, d] from [B, P, h * d]."""
    return x.unflatten(-1, (-1, size)).transpose(1, 2)


def swiglu(mlp: Any, x: Tensor, kernels: Kernels) -> Tensor:
    """The gated MLP of all layers."""
    gate, up = kernels.project(x, mlp.gate_proj, mlp.up_proj)
    return mlp.down_proj(F.silu(gate) * up)


def vision_block(block: Any, x: Tensor, rope: Rope, attend: Attend, kernels: Kernels = PLAIN) -> Tensor:
    """One layer of the vision encoder on [B, P, hidden]."""
    attention, normed = block.attn, kernels.norm(block.norm1, x)
    q, k, v = attention.qkv(normed).unflatten(-1, (3, attention.num_heads, -1)).transpose(1, 3).unbind(2)
    q, k = kernels.rotate(q, *rope), kernels.rotate(k, *rope)
    x = x + attention.proj(attend(q, k, v).transpose(1, 2).flatten(2))
    return x + swiglu(block.mlp, kernels.norm(block.norm2, x), kernels)


def decoder_block(
    layer: Any, x: Tensor, rope: Rope, attend: Attend, kernels: Kernels = PLAIN, wanted: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """One layer of the language model or the expert: ([B, P, hidden], its keys, rotated, and values [B, h, P, d]).

    With a bool mask [B, P] of wanted positions, the first is [positions, hidden].
    """
    attention, normed = layer.self_attn, kernels.norm(layer.input_layernorm, x)
    projected = kernels.project(normed, attention.q_proj, attention.k_proj, attention.v_proj)
    q, k, v = (heads(part, attention.head_dim) for part in projected)
    q, k = kernels.rotate(q, *rope), kernels.rotate(k, *rope)
    attended = attend(q, k, v).transpose(1, 2).flatten(2)
    if wanted is not None:
        x, attended = x[wanted], attended[wanted]
    x = x + attention.o_proj(attended)
    return x + swiglu(layer.mlp, kernels.norm(layer.post_attention_layernorm, x), kernels), k, v
