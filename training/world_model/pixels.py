"""From pictures to the frames that a world model sees: the whole picture, bilinear, standardised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def frames(images: Array, size: int) -> Tensor:
    """[..., 3, size, size] float32 from [..., height, width, 3] uint8."""
    import torch
    import torch.nn.functional as F

    values = torch.from_numpy(np.array(images)).flatten(0, -4).permute(0, 3, 1, 2).float() / 255
    if values.shape[-2:] != (size, size):
        values = F.interpolate(values, (size, size), mode="bilinear", antialias=True)
    mean, std = (values.new_tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
    return ((values - mean) / std).unflatten(0, images.shape[:-3])
