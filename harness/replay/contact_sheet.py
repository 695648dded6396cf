"""Contact sheet: the first image of every task from all cameras, asset packs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...envs import protocols, suites
from ...envs.base import Array, AssetPack, EnvOptions, EpisodeSpec, ObservationSpec, Suite
from ...envs.errors import InputError, MissingRequirementError
from ...envs.paths import cache_home
from ...envs.safe_io import atomic_write
from ..rendering.backend import find_driver

RENDERED = 256
"""Rendered image size in pixels, before resizing."""
GAP, SEAM = 8, 2
"""Pixels between tasks, and between the packs of one task."""
COLUMNS = 5
"""Tasks per line."""
Cell = tuple[str, str]
"""Suite, and the label in the corner of the image."""


def contact_sheet(path: Path, packs: Sequence[AssetPack], names: Sequence[str], image_size: int) -> None:
    """Render every task of the suites, settled from its first initial state, and write the sheet.

    Args:
        path: ends in .jpg or .png.
        packs: shown side by side, in this order.
        names: suites, row by row.
        image_size: height of one image in pixels.

    Raises:
        InputError: another ending, or a folder that does not exist.
    """
    require_image_path(path)
    per_pack = [dict(_images(pack, names)) for pack in packs]
    sheet = _grid({task: [images[task] for images in per_pack] for task in per_pack[0]}, names, image_size)
    with atomic_write(path, suffix=path.suffix) as scratch:
        sheet.save(scratch, **({} if path.suffix.lower() == ".png" else {"quality": 72, "optimize": True}))


def require_image_path(path: Path) -> None:
    """Raise InputError unless the path names a .jpg or .png in a folder that exists."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png") or not path.parent.is_dir():
        raise InputError(f"--out {path}: name a .jpg or .png in a folder that exists")


def _images(pack: AssetPack, names: Sequence[str]) -> Iterator[tuple[Cell, Array]]:
    """Suite and label -> the images of its cameras side by side, upright; a task's first variant where it has several."""
    for name in names:
        suite = suites.get(name)
        cameras = suite.cameras
        protocol, observation_spec = protocols.get(suite.default_protocol), ObservationSpec(cameras=cameras, image_size=RENDERED)
        env = suite.make_env(EnvOptions(assets=pack.path, gl=find_driver(suite).name, cache=str(cache_home())))
        for task in suite.tasks:
            variant = task.variants[0] if task.variants else ""
            env.reset(EpisodeSpec(name, task.id, 0, 0, protocol.name, variant), protocol, observation_spec)
            images = env.observation().images
            views = [upright(suite, images[camera], rotated=protocol.rotate_180) for camera in cameras]
            yield (name, f"{name.removeprefix('libero_')} {task.name if variant else task.id}"), np.concatenate(views, axis=1)
        env.close()


def upright(suite: Suite, image: Array, *, rotated: bool) -> Array:
    """OpenGL's rows come bottom first; published images are rotated by 180 degrees from there: upright but mirrored."""
    if not suite.opengl:
        return image
    return image[:, ::-1] if rotated else image[::-1]


def _grid(cells: Mapping[Cell, Sequence[Array]], names: Sequence[str], image_size: int) -> Any:
    """An image with a few labelled tasks per line, suite after suite; a task's packs side by side."""
    Image, ImageDraw = pillow()
    lines = [line for name in names for line in _lines([key for key in cells if key[0] == name])]
    first = next(iter(cells.values()))
    packs, wide = len(first), max(round(image_size * images[0].shape[1] / images[0].shape[0]) for images in cells.values())
    width, height = packs * (wide + SEAM) - SEAM + GAP, image_size + GAP
    sheet = Image.new("RGB", (max(map(len, lines)) * width + GAP, len(lines) * height + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        for column, key in enumerate(line):
            x, y = GAP + column * width, GAP + row * height
            for number, image in enumerate(cells[key]):
                small = Image.fromarray(image).resize((wide, image_size), Image.Resampling.LANCZOS)
                sheet.paste(small, (x + number * (wide + SEAM), y))
            pen.text((x + 3, y + 1), key[1], fill="white", stroke_width=1, stroke_fill="black")
    return sheet


def _lines(keys: list[Cell]) -> list[list[Cell]]:
    return [keys[start : start + COLUMNS] for start in range(0, len(keys), COLUMNS)]


def pillow() -> tuple[Any, Any]:
    """Pillow's modules Image and ImageDraw. Raises MissingRequirementError."""
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise MissingRequirementError("a contact sheet needs Pillow. Type: pip install Pillow") from None
    return Image, ImageDraw
