"""The vision encoder for a fixed number of images of a fixed size: window order, masks and rotary tables computed once.

Shapes: B images, P patches, V values of a patch, h heads, d head size.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.vision_utils import get_vision_position_ids

from .functional import attend, attend_within_windows, by_window, vision_block, window_order
from .fused_linear import FUSED, join_projections
from .reference import NoraModel


class VisionPath:
    """Images to image tokens, as the backbone's own encoder computes them, all images at once."""

    def __init__(self, model: NoraModel, images: int) -> None:
        self.visual: Any = model.vlm.model.visual
        self.images, self.unit = images, self.visual.spatial_merge_unit
        join_projections(self.visual.blocks)
        device = self.visual.patch_embed.proj.weight.device
        order, inverse, sizes = window_order(model.config)
        self.window_order, self.inverse_order = order.to(device), inverse.to(device)
        self.windows = len(sizes) if len(set(sizes)) == 1 else 0
        window = torch.tensor([number for number, size in enumerate(sizes) for _ in range(size)], device=device)
        self.mask = window[:, None] == window[None]
        side = model.config.image_size // model.config.patch
        places = get_vision_position_ids(torch.tensor([[1, side, side]]), model.config.merge).to(device)
        tables = self.visual.rotary_pos_emb(torch.zeros((), device=device), places)
        cos, sin = (by_window(table[None], self.window_order, self.unit).chunk(2, dim=-1)[0] for table in tables)
        self.rope = (cos, sin)

    def __call__(self, pixels_BPV: Tensor) -> Tensor:
        """[B * image tokens, hidden of the language model]"""
        weight = self.visual.patch_embed.proj.weight
        x = by_window(F.linear(pixels_BPV.to(weight.dtype), weight.flatten(1)), self.window_order, self.unit)
        for index, block in enumerate(self.visual.blocks):
            attention = attend if index in self.visual.fullatt_block_indexes else self._attend_within_windows
            x = vision_block(block, x, self.rope, attention, FUSED)
        merged = self.visual.merger(x).view(self.images, -1, self.visual.merger.mlp[2].out_features)
        return merged[:, self.inverse_order].flatten(0, 1)

    def _attend_within_windows(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, h, P, d]: as a batch of windows where all are equal, else under a block mask."""
        return attend_within_windows(q, k, v, self.windows) if self.windows else attend(q, k, v, mask=self.mask)
