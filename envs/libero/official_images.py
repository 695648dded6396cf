"""nora-bench's reference of the official pack's images: the first image of every task, as signatures.

`recordings/official_images.npz` was rendered with LIBERO's own files (`assets/official_files.json`) in OSMesa; per task and
camera it has the SHA-256 of the image and its mean colours on a grid. The reference recordings' images cannot serve for this:
their pack had substitutes (`recordings/reference_pack.json`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..base import EnvOptions
from ..errors import SuiteError
from ..parity import Check
from ..safe_io import read_arrays
from .sim.install import import_libero, init_folder, task_file
from .tasks import TITLES, load_tasks

NAME = "official_images.npz"
CAMERAS = ("primary", "wrist")
SIZE = 256
GRID = 16
"""Cells of a signature along a side of the image."""
TOLERANCE = 4.0
"""Largest mean absolute difference of one cell, in grey levels of 255."""


def signature(image: np.ndarray) -> np.ndarray:
    """[GRID, GRID, 3] uint8: mean colours of an image [SIZE, SIZE, 3] uint8."""
    side = SIZE // GRID
    return image.reshape(GRID, side, GRID, side, 3).mean((1, 3)).round().astype(np.uint8)


def digest(image: np.ndarray) -> str:
    """SHA-256 of an image's bytes."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def compare(file: Path, options: EnvOptions, tasks: tuple[str, ...] = ()) -> Iterator[Check]:
    """Render the first image of every task and compare it with the reference.

    Args:
        file: the reference, `official_images.npz`.
        options: assets and GL backend.
        tasks: `suite/number` of the tasks to compare; by default all 40.

    Raises:
        SuiteError: the file is not a reference.
    """
    try:
        reference = read_arrays(file)
        known = {str(task): row for row, task in enumerate(reference["tasks"])}
        signatures, digests = reference["signatures"], reference["sha256"]
        if signatures.shape != (len(known), len(CAMERAS), GRID, GRID, 3) or digests.shape != (len(known), len(CAMERAS)):
            raise ValueError(f"signatures have shape {signatures.shape}")
    except (OSError, ValueError, KeyError) as error:
        raise SuiteError(f"{file} is not a reference of images: {error!r}. Layout: docs/evidence/parity.md") from None
    for task in tasks or known:
        for column, (camera, image) in enumerate(first_images(task, options).items()):
            expected = signatures[known[task], column].astype(float)
            error = float(np.abs(signature(image) - expected).mean(-1).max())
            same = digest(image) == digests[known[task], column]
            quantity = f"first image {camera}: largest difference of a cell (of 255)"
            yield Check(task, quantity, error, TOLERANCE, "bit-identical" if same else "")


def first_images(task: str, options: EnvOptions) -> dict[str, np.ndarray]:
    """Camera -> [SIZE, SIZE, 3] uint8, rows from the bottom: task `suite/number` at its initial state 0, fixtures of seed 0."""
    import_libero(Path(options.assets), Path(options.cache), gl=options.gl)
    from .init_states import load_init_states
    from .sim.render import LiberoRenderer
    from .sim.scene import LiberoScene

    suite, _, number = task.partition("/")
    name = load_tasks(suite)[int(number)].name
    scene: Any = LiberoScene(str(task_file(suite, name)))
    scene.reset(0)
    scene.set_state(load_init_states(init_folder(suite) / f"{name}.pruned_init", scene.state_size)[0])
    scene.refresh_appearance()
    renderer = LiberoRenderer(scene.model, scene.data, SIZE)
    try:
        return {camera: renderer.render(camera) for camera in CAMERAS}
    finally:
        renderer.close()


def all_tasks() -> list[str]:
    """`suite/number` of the 40 tasks."""
    return [f"{suite}/{task.id}" for suite in TITLES if suite != "libero_90" for task in load_tasks(suite)]


def write_reference(file: Path, options: EnvOptions) -> None:
    """Render the reference anew; `options.assets` must be LIBERO's own files."""
    images = {task: first_images(task, options) for task in all_tasks()}
    np.savez_compressed(
        file,
        tasks=np.array([*images]),
        signatures=np.array([[signature(image) for image in views.values()] for views in images.values()]),
        sha256=np.array([[digest(image) for image in views.values()] for views in images.values()]),
    )
