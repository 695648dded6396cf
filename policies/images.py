"""From an environment's image to a model's: JPEG round trip, TensorFlow's Lanczos3 resize, centre crop, without TensorFlow.

Models trained on RLDS data were trained on images that went through exactly these steps; Pillow's filters give other values
(on a noisy 256 -> 224 image its bicubic changes 85 % of them).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ..envs.errors import PolicyError
from ..envs.types import Array

KNOWN = {"size", "filter", "jpeg", "crop"}


def model_image(image: Array, size: int, steps: Mapping[str, Any]) -> Array:
    """[size, size, 3] uint8: the image as the model receives it.

    Args:
        image: [height, width, 3] uint8, oriented as the protocol says.
        size: side of the model's input in pixels.
        steps: `Protocol.model_image`: `jpeg` (one encode and decode first), `filter`, `crop` (share of the area kept).
            Its `size` is what the published evaluation used; the model's own wins.
    """
    check_steps(steps)
    if steps.get("jpeg"):
        image = jpeg_round_trip(image)
    image = FILTERS[steps.get("filter", "lanczos3")](image, size, size)
    return centre_crop(image, steps["crop"]) if steps.get("crop") else image


def check_steps(steps: Mapping[str, Any]) -> None:
    """Raises PolicyError where the protocol asks for a preprocessing that is not known here."""
    if unknown := set(steps) - KNOWN:
        raise PolicyError(f"the protocol's model_image names unknown steps {sorted(unknown)}; known are {sorted(KNOWN)}")
    if steps.get("filter", "lanczos3") not in FILTERS:
        raise PolicyError(f"the protocol's model_image names filter {steps['filter']!r}; known are {', '.join(FILTERS)}")


def resize_lanczos3(image: Array, height: int, width: int) -> Array:
    """[height, width, 3] uint8, as `tf.image.resize(..., "lanczos3", antialias=True)`, rounded half to even and clipped.

    Identity at equal size. Separable in float32, rows first: half-pixel centres, radius 3 stretched when shrinking.
    """
    if image.shape[:2] == (height, width):
        return image
    rows, columns = _lanczos3(image.shape[0], height), _lanczos3(image.shape[1], width)
    tall = np.einsum("oi,iwc->owc", rows, image.astype(np.float32), optimize=True)
    full = np.einsum("oi,hic->hoc", columns, tall, optimize=True)
    return np.clip(np.rint(full), 0, 255).astype(np.uint8)


def resize_area(image: Array, height: int, width: int) -> Array:
    """[height, width, 3] uint8: each new pixel is the mean of what it covers, as `cv2.resize` with `INTER_AREA` shrinks.

    Raises PolicyError where it would have to enlarge: OpenCV does something else there.
    """
    if image.shape[0] < height or image.shape[1] < width:
        raise PolicyError(f"filter area shrinks only: {image.shape[1]} x {image.shape[0]} to {width} x {height}")
    rows, columns = _coverage(image.shape[0], height), _coverage(image.shape[1], width)
    full = np.einsum("oi,iwc,pw->opc", rows, image.astype(np.float32), columns, optimize=True)
    return np.rint(full).astype(np.uint8)


@cache
def _coverage(size_in: int, size_out: int) -> Array:
    """[size_out, size_in] float32: the share of each old pixel in a new one; each row sums to 1."""
    edges = np.linspace(0, size_in, size_out + 1)
    places = np.arange(size_in)
    inside = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return (np.clip(inside, 0, None) * size_out / size_in).astype(np.float32)


FILTERS: Mapping[str, Callable[[Array, int, int], Array]] = {"lanczos3": resize_lanczos3, "area": resize_area}
"""Filters that `Protocol.model_image` may name."""


@cache
def _lanczos3(size_in: int, size_out: int) -> Array:
    """[size_out, size_in] float32 weights; each row sums to 1."""
    scale = size_in / size_out
    stretch = np.float32(max(scale, 1.0))
    centres = (np.arange(size_out, dtype=np.float32) + np.float32(0.5)) * np.float32(scale)
    distance = np.abs(np.arange(size_in, dtype=np.float32)[None] + np.float32(0.5) - centres[:, None]) / stretch
    angle = np.float32(math.pi) * distance
    with np.errstate(divide="ignore", invalid="ignore"):
        kernel = np.float32(3) * np.sin(angle) * np.sin(angle / np.float32(3)) / (angle * angle)
    kernel = np.where(distance > 3, np.float32(0), np.where(distance < 1e-3, np.float32(1), kernel)).astype(np.float32)
    return kernel / kernel.sum(axis=1, keepdims=True, dtype=np.float32)


def jpeg_round_trip(image: Array) -> Array:
    """The image after one JPEG encode and decode with `tf.io.encode_jpeg`'s settings: quality 95, colour at half size."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling="4:2:0")
    return np.asarray(Image.open(buffer).convert("RGB"))


def centre_crop(image: Array, area: float) -> Array:
    """The central share of the image's area, resized to full size: OpenVLA's counterpart of its training-time random crop.

    As `tf.image.crop_and_resize` (bilinear, corners aligned) and a saturating cast.
    """
    height, width = image.shape[:2]
    side = math.sqrt(area)
    rows, columns = _bilinear(height, side), _bilinear(width, side)
    unit = image.astype(np.float32) / np.float32(255)
    cropped = np.einsum("oi,ijc,pj->opc", rows, unit, columns, optimize=True)
    return np.floor(np.clip(cropped, 0, 1) * np.float32(255.5)).astype(np.uint8)


@cache
def _bilinear(size: int, side: float) -> Array:
    """[size, size] float32 weights that stretch the central `side` of an axis over the whole of it."""
    places = np.linspace((1 - side) / 2 * (size - 1), (1 + side) / 2 * (size - 1), size, dtype=np.float64)
    low = np.minimum(np.floor(places).astype(int), size - 2)
    weights = np.zeros((size, size), np.float32)
    weights[np.arange(size), low] = 1 - (places - low)
    weights[np.arange(size), low + 1] = places - low
    return weights
