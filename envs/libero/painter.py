"""Draws stored states: the pictures that a world showed, or would have shown, without playing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..base import SuiteError, WorldOptions
from .install import import_libero, libero_root


class Painter:
    """Draws the states of any LIBERO task; keeps the task built last."""

    def __init__(self, options: WorldOptions) -> None:
        """Import LIBERO over the given assets. Raises SuiteError where something is not installed."""
        import_libero(Path(options.assets), Path(options.cache), gl=options.gl)
        self._built: tuple[str, str] | None = None
        self._scene: Any = None
        self._renderer: Any = None

    def open(self, suite: str, task: str, size: int) -> None:
        """Take a task; pictures will have `size` pixels a side."""
        if self._built != (suite, task):
            self._build(suite, task)
        if self._renderer is None or self._renderer.size != size:
            from .render import Renderer

            self._close_renderer()
            self._renderer = Renderer(self._scene.model, self._scene.data, size)

    def place(self, fixtures: Mapping[str, Sequence[float]]) -> None:
        """Put fixtures where they stood: name -> x y z (m), qw qx qy qz, world frame."""
        self._scene.place_fixtures(fixtures)

    def place_as_in(self, model: str) -> None:
        """Put fixtures where the XML of a recorded model has them. Raises SuiteError for one that lacks them."""
        bodies = {element.get("name"): element for element in ElementTree.fromstring(model).iter("body")}
        self._scene.place_fixtures(
            {name: _pose(bodies, self._scene.model.body(i).name) for name, i in self._scene.fixtures.items()}
        )

    def joint_values(self, states: np.ndarray) -> np.ndarray:
        """[rows, nq] from states [rows, 1 + nq + nv]. Raises SuiteError where they are not of this task."""
        model = self._scene.model
        if states.shape[1] != self._scene.state_size:
            raise SuiteError(f"states of {states.shape[1]} numbers are not of {self._built}, which has {self._scene.state_size}")
        return states[:, 1 : 1 + model.nq]

    def draw(self, shown: np.ndarray, before: np.ndarray, camera: str) -> Iterator[np.ndarray]:
        """[size, size, 3] uint8 for every row; rows of pixels as OpenGL has them, the bottom first.

        Args:
            shown: [rows, nq] joint values of what is to be seen.
            before: [rows, nq] joint values one control step earlier, which decide what only looks different (a burner).
            camera: `primary` or `wrist`.
        """
        from .engine import mujoco

        model, data = self._scene.model, self._scene.data
        for now, earlier in zip(shown, before, strict=True):
            data.qpos[:] = earlier
            self._scene.refresh_looks()
            data.qpos[:] = now
            mujoco.mj_fwdPosition(model, data)
            yield self._renderer.picture(camera)

    def close(self) -> None:
        """Free what GL holds."""
        self._close_renderer()

    def _build(self, suite: str, task: str) -> None:
        from .scene import Scene

        self._close_renderer()
        self._built = self._scene = None
        path = libero_root() / "bddl_files" / suite / f"{task}.bddl"
        if not path.is_file():
            raise SuiteError(f"hf-libero has no task {task} in {suite} ({path})")
        self._scene = Scene(str(path))
        self._scene.reset(0)  # hides the marks that robosuite draws at its sites
        self._built = (suite, task)

    def _close_renderer(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _pose(bodies: Mapping[str | None, Any], body: str) -> list[float]:
    if body not in bodies:
        raise SuiteError(f"the recorded model has no body {body}; it is of another task or of another LIBERO")
    element = bodies[body]
    return [float(x) for x in [*element.get("pos", "0 0 0").split(), *element.get("quat", "1 0 0 0").split()]]
