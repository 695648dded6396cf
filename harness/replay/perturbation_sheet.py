"""Sheet of an axis of perturbation: the first image of the control and of each level, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...envs import protocols, suites
from ...envs.base import Array, AssetPack, Env, EnvOptions, EpisodeSpec, ObservationSpec, SceneCheckError, Suite
from ...envs.errors import InputError, UnknownName
from ...envs.paths import cache_home
from ...envs.perturbations import axes
from ...envs.perturbations.images import defects_of
from ...envs.safe_io import atomic_write
from ..rendering.backend import find_driver
from .contact_sheet import RENDERED, pillow, require_image_path, upright

GAP = 4
"""Pixels between two images."""
Row = tuple[str, list[Array]]
"""Label and images."""


def perturbation_sheet(path: Path, pack: AssetPack, names: Sequence[str], axis: str, image_size: int) -> None:
    """Render one axis and write the sheet: a line per suite, or per kind where the axis has kinds (the first suite only).

    Args:
        path: ends in .jpg or .png.
        pack: rendered with.
        names: suites; of each the first task in its first initial state.
        axis: name of an axis of the simulator's scene or of the images.
        image_size: side of one image in pixels.

    Raises:
        InputError: another ending, a folder that does not exist, or an axis without images.
    """
    require_image_path(path)
    found = _axis(axis)
    lines = _lines(found)
    rows = [row for name in (names if len(lines) == 1 else names[:1]) for row in _rows(suites.get(name), pack, found, lines)]
    with atomic_write(path, suffix=path.suffix) as scratch:
        _paste(rows, image_size).save(scratch, **({} if path.suffix.lower() == ".png" else {"quality": 80, "optimize": True}))


def _axis(name: str) -> axes.Axis:
    shown = {axis.name: axis for axis in axes.axes().values() if axis.kind in ("scene", "image")}
    if name not in shown:
        raise UnknownName("axis with images", name, shown, "see `nora-bench list perturbations`")
    return shown[name]


def _lines(axis: axes.Axis) -> list[tuple[str, tuple[str, ...]]]:
    """Label of a line and its levels: `gaussian` and `gaussian-1`, `gaussian-2`, `gaussian-3`; one line without kinds."""
    kinds = list(dict.fromkeys(level.rpartition("-")[0] for level in axis.levels if "-" in level))
    named = [(kind, tuple(level for level in axis.levels if level.startswith(f"{kind}-"))) for kind in kinds]
    return named or [("", tuple(axis.levels))]


def _rows(suite: Suite, pack: AssetPack, axis: axes.Axis, lines: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[Row]:
    if axis.kind == "scene" and axis.name not in suite.perturbations:
        raise InputError(f"{suite.name} has no axis {axis.name}", option="--perturb", value=axis.name)
    options = EnvOptions(assets=pack.path, gl=find_driver(suite).name, cache=str(cache_home()))
    task = suite.tasks[0]
    spec = EpisodeSpec(suite.name, task.id, 0, 0, suite.default_protocol, task.variants[0] if task.variants else "")
    camera = axis.name if axis.name in suite.cameras else suite.cameras[0]
    with closing(suite.make_env(options)) as env:
        for label, levels in lines:
            names = ["", *(found.name for level in levels if (found := axis.at(level)))]
            images = [_image_or_blank(env, suite, replace(spec, perturbation=name), camera) for name in names]
            yield label or f"{suite.name} {task.id}", images


def _image_or_blank(env: Env, suite: Suite, spec: EpisodeSpec, camera: str) -> Array:
    """White where the scene has no room for the perturbation."""
    try:
        return _first_image(env, suite, spec, camera)
    except SceneCheckError:
        return np.full_like(_first_image(env, suite, spec.control, camera), 255)


def _first_image(env: Env, suite: Suite, spec: EpisodeSpec, camera: str) -> Array:
    protocol = protocols.get(spec.protocol)
    env.reset(spec, protocol, ObservationSpec(cameras=(camera,), image_size=RENDERED))
    observation, defects = env.observation(), defects_of(spec)
    seen = defects.apply(observation, 0) if defects else observation
    return upright(suite, np.asarray(seen.images[camera]), rotated=protocol.rotate_180)


def _paste(rows: Sequence[Row], image_size: int) -> Any:
    """The control at the left, then the levels; a label in the first image of each line."""
    Image, ImageDraw = pillow()
    first = rows[0][1][0]
    wide = round(image_size * first.shape[1] / first.shape[0])
    columns = max(len(images) for _, images in rows)
    sheet = Image.new("RGB", (columns * (wide + GAP) - GAP, len(rows) * (image_size + GAP) - GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for line, (label, images) in enumerate(rows):
        for column, image in enumerate(images):
            small = Image.fromarray(image).resize((wide, image_size), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * (wide + GAP), line * (image_size + GAP)))
        pen.text((3, line * (image_size + GAP) + 1), label, fill="white", stroke_width=1, stroke_fill="black")
    return sheet
