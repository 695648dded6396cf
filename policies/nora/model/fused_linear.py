"""Linear layers of the same input as one matrix, without a second copy of their weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import Kernels


def fused(*layers: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """(weight, bias) of all layers, concatenated along the outputs.

    The first call moves the layers' parameters into one storage, of which they become views; later calls look it up.
    """
    first = layers[0]
    if not hasattr(first, "_fused"):
        first._fused = (_join(layers, "weight"), _join(layers, "bias") if first.bias is not None else None)  # type: ignore[assignment]
    return first._fused  # type: ignore[return-value]


def fused_projection(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Outputs of each layer for `x`, in one matrix product for all."""
    return F.linear(x, *fused(*layers)).split([layer.out_features for layer in layers], dim=-1)


FUSED = Kernels(project=fused_projection)


def _join(layers: tuple[nn.Linear, ...], name: str) -> Tensor:
    with torch.inference_mode(False):  # else the model could not be trained afterwards
        joined = torch.cat([getattr(layer, name).detach() for layer in layers])
        for layer, part in zip(layers, joined.split([layer.out_features for layer in layers]), strict=True):
            getattr(layer, name).data = part
    return joined
