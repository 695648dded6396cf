"""A contact sheet: the first picture of every task, all cameras, one asset pack beside the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...envs import protocols, suites
from ...envs.base import Array, AssetPack, EnvOptions, EpisodeSpec, ObservationSpec, Suite
from ...envs.paths import cache_home
from ..errors import InputError, MissingRequirementError
from ..rendering.backend import find_driver

RENDERED = 256
"""Side of the pictures before they are made small (pixels)."""
GAP, SEAM = 8, 2
"""Pixels between tasks, and between the packs of one task."""
COLUMNS = 5
"""Tasks per line."""
Cell = tuple[str, str]
"""Suite, and what stands in the corner of the picture."""


def contact_sheet(path: Path, packs: Sequence[AssetPack], names: Sequence[str], side: int) -> None:
    """Draw every task of the suites, settled from its first initial state, and write the sheet.

    Args:
        path: ends in .jpg or .png.
        packs: shown side by side, in this order.
        names: suites, row by row.
        side: pixels of one small picture.

    Raises:
        InputError: another ending, or a folder that does not exist.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png") or not path.parent.is_dir():
        raise InputError(f"--out {path}: name a .jpg or .png in a folder that exists")
    shown = [dict(_pictures(pack, names)) for pack in packs]
    _write(path, _grid({task: [pictures[task] for pictures in shown] for task in shown[0]}, names, side))


def _pictures(pack: AssetPack, names: Sequence[str]) -> Iterator[tuple[Cell, Array]]:
    """Suite and label -> the pictures of its cameras side by side, upright; a task's first variant where it has several."""
    for name in names:
        suite = suites.get(name)
        cameras = suite.cameras
        protocol, observation_spec = protocols.get(suite.default_protocol), ObservationSpec(cameras=cameras, image_size=RENDERED)
        world = suite.make_env(EnvOptions(assets=pack.path, gl=find_driver(suite).name, cache=str(cache_home())))
        for task in suite.tasks:
            variant = task.variants[0] if task.variants else ""
            world.reset(EpisodeSpec(name, task.id, 0, 0, protocol.name, variant), protocol, observation_spec)
            shown = world.observation().images
            upright = [_upright(suite, shown[camera], turned=protocol.rotate_180) for camera in cameras]
            yield (name, f"{name.removeprefix('libero_')} {task.name if variant else task.id}"), np.concatenate(upright, axis=1)
        world.close()


def _upright(suite: Suite, picture: Array, *, turned: bool) -> Array:
    """OpenGL's rows come bottom first; published pictures are turned by 180 degrees from there: upright but mirrored."""
    if not suite.opengl:
        return picture
    return picture[:, ::-1] if turned else picture[::-1]


def _grid(cells: Mapping[Cell, Sequence[Array]], names: Sequence[str], side: int) -> Any:
    """A picture with a few tasks per line, suite after suite, labelled; a task's packs stand side by side."""
    Image, ImageDraw = _pillow()
    lines = [line for name in names for line in _lines([key for key in cells if key[0] == name])]
    first = next(iter(cells.values()))
    packs, wide = len(first), max(round(side * picture[0].shape[1] / picture[0].shape[0]) for picture in cells.values())
    width, height = packs * (wide + SEAM) - SEAM + GAP, side + GAP
    sheet = Image.new("RGB", (max(map(len, lines)) * width + GAP, len(lines) * height + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        for column, key in enumerate(line):
            x, y = GAP + column * width, GAP + row * height
            for number, picture in enumerate(cells[key]):
                small = Image.fromarray(picture).resize((wide, side), Image.Resampling.LANCZOS)
                sheet.paste(small, (x + number * (wide + SEAM), y))
            pen.text((x + 3, y + 1), key[1], fill="white", stroke_width=1, stroke_fill="black")
    return sheet


def _lines(keys: list[Cell]) -> list[list[Cell]]:
    return [keys[start : start + COLUMNS] for start in range(0, len(keys), COLUMNS)]


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise MissingRequirementError("a contact sheet needs Pillow. Type: pip install Pillow") from None
    return Image, ImageDraw


def _write(path: Path, sheet: Any) -> None:
    scratch = path.with_name(f".{path.stem}.part{path.suffix}")
    sheet.save(scratch, **({} if path.suffix.lower() == ".png" else {"quality": 72, "optimize": True}))
    scratch.replace(path)
