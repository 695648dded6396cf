"""A contact sheet: the first picture of every task, both cameras, one asset pack beside the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..envs import protocols, suites
from ..envs.base import Array, AssetPack, EpisodeSpec, Needs, WorldOptions
from ..envs.paths import cache_home
from .errors import InputError, NotAble
from .gl import choose_gl

CAMERAS = ("primary", "wrist")
RENDERED = 256
"""Side of the pictures before they are made small (pixels)."""
GAP, SEAM = 8, 2
"""Pixels between tasks, and between the packs of one task."""
COLUMNS = 5
"""Tasks per line."""


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


def _pictures(pack: AssetPack, names: Sequence[str]) -> Iterator[tuple[tuple[str, int], Array]]:
    """(suite, task) -> both cameras' pictures side by side, upright."""
    for name in names:
        suite, needs = suites.get(name), Needs(cameras=CAMERAS, image_size=RENDERED)
        protocol = protocols.get(suite.default_protocol)
        world = suite.open_world(WorldOptions(assets=pack.path, gl=choose_gl(), cache=str(cache_home())))
        for task in suite.tasks:
            world.reset(EpisodeSpec(name, task.id, 0, 0, protocol.name), protocol, needs)
            shown = world.view().images
            # Published pictures are turned by 180 degrees from OpenGL's rows, bottom first: upright but mirrored.
            upright = [shown[camera][:, ::-1] if protocol.rotate_180 else shown[camera][::-1] for camera in CAMERAS]
            yield (name, task.id), np.concatenate(upright, axis=1)
        world.close()


def _grid(cells: Mapping[tuple[str, int], Sequence[Array]], names: Sequence[str], side: int) -> Any:
    """A picture with a few tasks per line, suite after suite, numbered; a task's packs stand side by side."""
    Image, ImageDraw = _pillow()
    lines = [line for name in names for line in _lines([key for key in cells if key[0] == name])]
    packs, pair = len(next(iter(cells.values()))), len(CAMERAS) * side
    width, height = packs * (pair + SEAM) - SEAM + GAP, side + GAP
    sheet = Image.new("RGB", (COLUMNS * width + GAP, len(lines) * height + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        for column, key in enumerate(line):
            x, y = GAP + column * width, GAP + row * height
            for number, picture in enumerate(cells[key]):
                small = Image.fromarray(picture).resize((pair, side), Image.Resampling.LANCZOS)
                sheet.paste(small, (x + number * (pair + SEAM), y))
            label = f"{key[0].removeprefix('libero_')} {key[1]}"
            pen.text((x + 3, y + 1), label, fill="white", stroke_width=1, stroke_fill="black")
    return sheet


def _lines(keys: list[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    return [keys[start : start + COLUMNS] for start in range(0, len(keys), COLUMNS)]


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise NotAble("a contact sheet needs Pillow. Type: pip install Pillow") from None
    return Image, ImageDraw


def _write(path: Path, sheet: Any) -> None:
    scratch = path.with_name(f".{path.stem}.part{path.suffix}")
    sheet.save(scratch, **({} if path.suffix.lower() == ".png" else {"quality": 72, "optimize": True}))
    scratch.replace(path)
