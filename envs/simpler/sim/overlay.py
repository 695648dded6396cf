"""Background photograph of visual matching, and its composition with rendered bodies."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import SuiteError
from . import pack_files


@lru_cache(maxsize=4)
def photograph(pack: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """[height, width, 3] float32, 0 to 1: the pack's photograph, enlarged with bilinear interpolation.

    Args:
        pack: asset pack.
        name: file under `real_inpainting`.
        size: width and height (pixels).
    """
    import cv2

    path = pack_files.photograph(pack, name)
    image = cv2.imread(str(path))
    if image is None:
        raise SuiteError(f"{path} is not a readable image: the asset pack is incomplete. Type: nora-bench assets verify")
    return cv2.resize(np.ascontiguousarray(image[..., ::-1]) / 255, size).astype(np.float32)


def composed(colour: np.ndarray, foreground: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """[height, width, 3]: the rendering where `foreground` (bool) is set, the photograph elsewhere; hard edges."""
    return np.where(foreground[..., None], colour, behind)


def to_bytes(colour: np.ndarray) -> np.ndarray:
    """uint8 of values from 0 to 1: truncated, not rounded, as upstream does."""
    return np.clip(colour * 255, 0, 255).astype(np.uint8)
