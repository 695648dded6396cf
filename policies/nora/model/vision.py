"""The vision encoder for a fixed number of pictures of a fixed size: window order, masks and rotary tables computed once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.vision_utils import get_vision_position_ids, get_vision_window_index

from .fused_linear import fused
from .reference import NoraModel


class VisionPath:
    """Pictures to image tokens, as the backbone's own encoder computes them, all pictures at once."""

    def __init__(self, model: NoraModel, pictures: int) -> None:
        self.visual: Any = model.vlm.model.visual
        self.pictures = pictures
        side = model.config.image_size // model.config.patch
        device = self.visual.patch_embed.proj.weight.device
        grid = torch.tensor([[1, side, side]])
        merge = self.visual.spatial_merge_size
        order, bounds = get_vision_window_index(grid, merge, self.visual.window_size, self.visual.patch_size)
        self.order = order.to(device)
        self.back = torch.argsort(order).to(device)
        self.unit = merge**2
        places = get_vision_position_ids(grid, merge).to(device)
        tables = self.visual.rotary_pos_emb(torch.zeros((), device=device), places)
        self.cos, self.sin = (self._permuted(table[None])[0][:, None] for table in tables)
        self.windows = _Windows(bounds.tolist(), device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """[pictures * image tokens, hidden of the language model], from [pictures, patches, values]."""
        weight = self.visual.patch_embed.proj.weight
        x = self._permuted(F.linear(pixels.to(weight.dtype), weight.flatten(1)))
        for index, block in enumerate(self.visual.blocks):
            whole = index in self.visual.fullatt_block_indexes
            x = x + self._attention(block.attn, block.norm1(x), whole)
            gate, up = F.linear(block.norm2(x), *fused(block.mlp.gate_proj, block.mlp.up_proj)).chunk(2, dim=-1)
            x = x + block.mlp.down_proj(F.silu(gate) * up)
        merged = self.visual.merger(x).view(self.pictures, -1, self.visual.merger.mlp[2].out_features)
        return merged[:, self.back].flatten(0, 1)

    def _permuted(self, x: Tensor) -> Tensor:
        """[pictures, patches, ...] in the order of the windows, merge groups staying together."""
        return x.unflatten(1, (-1, self.unit))[:, self.order].flatten(1, 2)

    def _attention(self, attention: Any, x: Tensor, whole: bool) -> Tensor:
        q, k, v = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
        q, k, v = (part.transpose(1, 2) for part in (self._turn(q), self._turn(k), v))
        out = F.scaled_dot_product_attention(q, k, v) if whole else self.windows.attend(q, k, v)
        return attention.proj(out.transpose(1, 2).flatten(2))

    def _turn(self, x: Tensor) -> Tensor:
        wide = x.float()
        a, b = wide.chunk(2, dim=-1)
        return (wide * self.cos + torch.cat([-b, a], dim=-1) * self.sin).to(x.dtype)


class _Windows:
    """Attention within windows: as a batch of windows where all are equal, else under a block mask."""

    def __init__(self, bounds: list[int], device: torch.device) -> None:
        sizes = [end - start for start, end in pairwise(bounds)]
        self.count = len(sizes) if len(set(sizes)) == 1 else 0
        window = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(device)
        self.mask = window[:, None] == window[None]

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[pictures, heads, patches, head size]"""
        if not self.count:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)
        q, k, v = (part.unflatten(2, (self.count, -1)).transpose(1, 2).flatten(0, 1) for part in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)
        return out.unflatten(0, (-1, self.count)).transpose(1, 2).flatten(2, 3)
