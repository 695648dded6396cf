"""Image augmentation of supervised fine-tuning, for training passes alone: validation and evaluation see unchanged images.

An augmentation samples from the generator of its pass only, and at strength 0 it samples nothing: runs without it keep their
random numbers, and with them their losses, when one is added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ...envs.types import Array

if TYPE_CHECKING:
    from .objective import SftSettings


def augment(images: Array, settings: SftSettings, generator: torch.Generator) -> Array:
    """[B, size, size, 3] uint8 images for one training pass, with every augmentation of the settings applied in turn."""
    return adjust_brightness(images, settings.brightness, generator)


def adjust_brightness(images: Array, strength: float, generator: torch.Generator) -> Array:
    """[B, size, size, 3] uint8 images with grey levels scaled by 1 +- `strength` and shifted by as much of 255, at most."""
    if not strength:
        return images
    scale, shift = (strength * (2 * torch.rand(2, len(images), 1, 1, 1, generator=generator) - 1)).numpy()
    return np.clip(images * (1 + scale) + 255 * shift, 0, 255).astype(np.uint8)
