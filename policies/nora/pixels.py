"""From images to patches, the vision encoder's input."""

from __future__ import annotations

import numpy as np

from ...envs.types import Array

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def patches(images: Array, patch: int, merge: int, frames: int = 2) -> Array:
    """[batch, patches, 3 * frames * patch * patch] float32, scaled and standardised; a still image is its own next frame.

    Patches come in groups of `merge` x `merge` (group row, group column, row, column), values by channel, frame, row, column.

    Args:
        images: [batch, height, width, 3] uint8; sides are multiples of `patch * merge`.
    """
    batch, height, width, _ = images.shape
    values = (images.astype(np.float32) * np.float32(1 / 255) - MEAN) / STD
    rows, columns = height // (patch * merge), width // (patch * merge)
    split = values.reshape(batch, rows, merge, patch, columns, merge, patch, 3)
    grouped = split.transpose(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch, -1, 3, 1, patch * patch)
    return np.repeat(grouped, frames, axis=3).reshape(batch, grouped.shape[1], -1)
