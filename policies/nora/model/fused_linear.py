"""Linear layers of the same input as one matrix, without a second copy of their weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import Kernels, separate

LARGEST_ON_CPU = 1 << 22
"""Numbers of a joined matrix. Above it joining gains nothing on a CPU, and weights mapped from a file would be copied."""


def join_projections(blocks: Iterable[Any]) -> None:
    """Join the projections of queries, keys and values and of the gated MLP in every block: their weights become views of one.

    Called before a model is captured: on the stream and in the memory pool of its weights, whose old storage is released
    layer by layer. A second call, or one for a model that has moved to another device since, does what is missing.
    """
    for block in blocks:
        attention = getattr(block, "self_attn", None)
        joined = [_join((block.mlp.gate_proj, block.mlp.up_proj))]
        if attention is not None:
            joined.append(_join((attention.q_proj, attention.k_proj, attention.v_proj)))
        if any(joined) and block.mlp.gate_proj.weight.is_cuda:
            torch.cuda.empty_cache()  # the freed parts are too small for the next layer's matrix, and would stay reserved


def fused_projection(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Outputs of each layer for `x`: in one matrix product for all where they were joined."""
    fused: tuple[Tensor, Tensor | None] | None = getattr(layers[0], "_fused", None)  # type: ignore[assignment]
    if fused is None:
        return separate(x, *layers)
    return F.linear(x, *fused).split([layer.out_features for layer in layers], dim=-1)


FUSED = Kernels(project=fused_projection)


def _join(layers: tuple[nn.Linear, ...]) -> bool:
    """Move the layers' parameters into one storage, unless they are there; whether anything was moved."""
    first = layers[0]
    fused: Any = getattr(first, "_fused", None)
    if fused is not None and fused[0].data_ptr() == first.weight.data_ptr():
        return False
    if first.weight.device.type == "cpu" and sum(layer.weight.numel() for layer in layers) > LARGEST_ON_CPU:
        return False
    first._fused = (_concatenated(layers, "weight"), _concatenated(layers, "bias") if first.bias is not None else None)  # type: ignore[assignment]
    return True


def _concatenated(layers: tuple[nn.Linear, ...], name: str) -> Tensor:
    with torch.inference_mode(False):  # else the model could not be trained afterwards
        joined = torch.cat([getattr(layer, name).detach() for layer in layers])
        for layer, part in zip(layers, joined.split([layer.out_features for layer in layers]), strict=True):
            getattr(layer, name).data = part
    return joined
