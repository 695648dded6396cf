"""Defects of images, applied between environment and policy: the same for every suite.

Each image of an episode is changed, the first included. Random numbers depend on scene, axis, level, camera and control step
alone.
Calculations that decide pixels are exact in integers, or single operations on floats, so that processors agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..base import EnvObservation, EpisodeSpec
from ..types import Array
from . import axes

REFERENCE_SIDE = 224
"""Shorter side (px) of the images that lengths in `axes.toml` are of."""
Defect = Callable[[Array, Mapping[str, Any], np.random.Generator, np.random.Generator], Array]
"""Changed image [H, W, 3] uint8 from an image, the level's numbers, and random numbers of this step and of the whole episode."""


class ImageDefects:
    """The defects of one episode's images."""

    def __init__(self, spec: EpisodeSpec, perturbation: axes.Perturbation) -> None:
        self._spec, self._stream = spec, f"perturb {perturbation.axis} {perturbation.level}"
        level, values = perturbation.level, perturbation.values
        if "kinds" in values:
            level = str(np.random.default_rng(spec.entropy(self._stream)).choice(values["kinds"]))
            values = axes.axes()[perturbation.axis].levels[level]
        self.kind = level.partition("-")[0]
        self._values: Mapping[str, Any] = values

    def apply(self, observation: EnvObservation, step: int) -> EnvObservation:
        """The observation after `step` control steps with its images changed."""
        return replace(observation, images={name: self._changed(image, name, step) for name, image in observation.images.items()})

    def _changed(self, image: Array, camera: str, step: int) -> Array:
        now = np.random.default_rng(self._spec.entropy(f"{self._stream} {camera} step", decision=step))
        always = np.random.default_rng(self._spec.entropy(f"{self._stream} {camera}"))
        values = {**self._values, "first": step == 0}
        return np.ascontiguousarray(DEFECTS[self.kind](image, values, now, always))


def defects_of(spec: EpisodeSpec) -> ImageDefects | None:
    """The defects of an episode's images; None for an episode whose images are the environment's."""
    if not spec.perturbation:
        return None
    perturbation = axes.get(spec.perturbation)
    return ImageDefects(spec, perturbation) if perturbation.kind == "image" else None


def gaussian(image: Array, values: Mapping[str, Any], now: np.random.Generator, always: np.random.Generator) -> Array:
    """Independent noise in every pixel and channel."""
    noise = now.standard_normal(image.shape, np.float32)
    noise *= np.float32(255 * values["deviation"])
    return _pixels(noise + image)


def motion(image: Array, values: Mapping[str, Any], now: np.random.Generator, always: np.random.Generator) -> Array:
    """Mean along a straight line of the level's length, in a direction for each image."""
    angle, samples = now.uniform(0, np.pi), 9
    way = values["length"] * _scale(image) * np.array([np.sin(angle), np.cos(angle)])
    offsets = np.rint(np.linspace(-0.5, 0.5, samples)[:, None] * way).astype(int)
    reach = int(np.abs(offsets).max())
    wide, (height, width) = _extended(image, reach), image.shape[:2]
    total = np.zeros(image.shape, np.uint16)
    for down, right in offsets + reach:
        total += wide[down : down + height, right : right + width]
    return ((total + samples // 2) // samples).astype(np.uint8)


def defocus(image: Array, values: Mapping[str, Any], now: np.random.Generator, always: np.random.Generator) -> Array:
    """Mean over a disc."""
    radius = max(1.0, values["radius"] * _scale(image))
    reach, (height, width) = int(radius), image.shape[:2]
    sums = np.cumsum(_extended(image, reach + 1), axis=1, dtype=np.int32)
    total, count = np.zeros(image.shape, np.int32), 0
    for down in range(-reach, reach + 1):
        half = int(np.sqrt(radius**2 - down**2))
        rows = sums[reach + 1 + down : reach + 1 + down + height]
        total += rows[:, reach + 1 + half : reach + 1 + half + width] - rows[:, reach - half : reach - half + width]
        count += 2 * half + 1
    return ((total + count // 2) // count).astype(np.uint8)


def fog(image: Array, values: Mapping[str, Any], now: np.random.Generator, always: np.random.Generator) -> Array:
    """Mixture with a light grey of uneven density, which stays for the episode."""
    side = FOG_SIDE
    density = sum(_clouds(always, cells, side, side) / 2**octave for octave, cells in enumerate((3, 6, 12))) / 1.75
    share = np.rint(256 * np.clip(values["share"] + 0.3 * (density - 0.5), 0, 1)).astype(np.uint16)
    share = _stretched(share, *image.shape[:2])[..., None]
    return ((image * (256 - share) + FOG_GREY * share + 128) >> 8).astype(np.uint8)


FOG_SIDE = 64
"""Cells of the density of fog along a side."""
FOG_GREY = 225
"""Brightness of fog; products with 256 stay within 16 bits."""


def jpeg(image: Array, values: Mapping[str, Any], now: np.random.Generator, always: np.random.Generator) -> Array:
    """Loss of JPEG: the tables of ITU-T T.81 annex K scaled for a quality as usual, colour at half the resolution."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge").astype(np.int32)
    red, green, blue = padded[..., 0], padded[..., 1], padded[..., 2]
    luma = (77 * red + 150 * green + 29 * blue + 128) >> 8
    blueness, redness = (_halved(144 * (blue - luma) >> 8), _halved(183 * (red - luma) >> 8))
    quality = values["quality"]
    luma = _quantised(luma - 128, LUMA, quality) + 128
    blueness, redness = (_doubled(_quantised(part, CHROMA, quality)) for part in (blueness, redness))
    green = luma - ((88 * blueness + 183 * redness) >> 8)
    restored = np.stack([luma + (359 * redness >> 8), green, luma + (454 * blueness >> 8)], axis=-1)
    return np.clip(restored[:height, :width], 0, 255).astype(np.uint8)


def dropped(image: Array, values: Mapping[str, Any], now: np.random.Generator, always: np.random.Generator) -> Array:
    """Black with the level's probability for each image; the first always."""
    return np.zeros_like(image) if values["first"] or now.random() < values["probability"] else image


def patch(image: Array, values: Mapping[str, Any], now: np.random.Generator, always: np.random.Generator) -> Array:
    """A square of one colour at one place for the episode, entirely inside the image."""
    height, width = image.shape[:2]
    side = round(np.sqrt(values["area"] * height * width))
    top, left = (int(always.integers(0, max(extent - side, 0) + 1)) for extent in (height, width))
    changed = image.copy()
    changed[top : top + side, left : left + side] = always.integers(0, 256, 3)
    return changed


DEFECTS: Mapping[str, Defect] = {
    "gaussian": gaussian,
    "motion": motion,
    "defocus": defocus,
    "fog": fog,
    "jpeg": jpeg,
    "dropped": dropped,
    "patch": patch,
}
"""Kind of defect -> its function."""

LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""Quantisation of brightness: ITU-T T.81, table K.1."""
CHROMA = np.full((8, 8), 99)
"""Quantisation of colour: table K.2."""
CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
COSINE_SCALE = 2.0**13
COSINES = np.rint(
    COSINE_SCALE
    * np.cos(np.pi / 8 * np.outer(np.arange(8), np.arange(8) + 0.5))
    * np.where(np.arange(8) == 0, np.sqrt(1 / 8), 0.5)[:, None]
)
"""[8, 8] cosine transform in whole numbers, so that sums of products are exact in any order."""


def _quantised(plane: Array, table: Array, quality: int) -> Array:
    """A plane [H, W] of whole numbers, both sides multiples of 8, after JPEG's rounding of each 8 x 8 block."""
    height, width = plane.shape
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.tile(np.clip((table * percent + 50) // 100, 1, 255).T, (width // 8, height // 8)).astype(np.float64)
    levels = _along_rows(_along_rows(plane.astype(np.float64), COSINES.T).T, COSINES.T)
    levels = np.rint(levels / (COSINE_SCALE**2 * steps)) * steps
    restored = _along_rows(_along_rows(levels, COSINES).T, COSINES)
    return np.rint(restored / COSINE_SCALE**2).astype(np.int32)


def _along_rows(plane: Array, matrix: Array) -> Array:
    """Each 8 pixels of a row times an [8, 8] matrix. Not by BLAS, whose threads would wait for each other busily."""
    return np.einsum("ij,jk->ik", plane.reshape(-1, 8), matrix).reshape(plane.shape)


def _halved(plane: Array) -> Array:
    """Mean of each 2 x 2 pixels."""
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2] + 2) >> 2


def _doubled(plane: Array) -> Array:
    return plane.repeat(2, axis=0).repeat(2, axis=1)


def _scale(image: Array) -> float:
    """Pixels of this image per pixel of one of `REFERENCE_SIDE`."""
    return min(image.shape[:2]) / REFERENCE_SIDE


def _extended(image: Array, margin: int) -> Array:
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")


def _pixels(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _stretched(values: Array, height: int, width: int) -> Array:
    """Values on a grid at each pixel, without smoothing."""
    rows, columns = (np.arange(extent) * size // extent for extent, size in zip((height, width), values.shape, strict=True))
    return values[rows[:, None], columns]


def _clouds(rng: np.random.Generator, cells: int, height: int, width: int) -> Array:
    """[height, width] in [0, 1]: random values on a grid of cells, interpolated linearly."""
    grid = rng.random((cells + 1, cells + 1))
    for axis, extent in enumerate((height, width)):
        at = np.linspace(0, cells, extent, endpoint=False)
        low = at.astype(int)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        grid = np.take(grid, low, axis) * (1 - share) + np.take(grid, low + 1, axis) * share
    return grid
