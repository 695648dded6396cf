"""Continuing from a recorded state in the middle of an episode: the same state and actions give the same outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .restored import StateRestorer


class StateContinuation(StateRestorer):
    """Executes actions from a recorded state, with images.

    Not the recorded episode itself: the solver starts cold and the controller's goal is the present pose, where the episode had a
    warm start and the goal of its last action. Both are the same for all continuations of a state.
    """

    _renderer: Any = None

    def start(
        self, state: np.ndarray, fixtures: Mapping[str, Sequence[float]], commands: Sequence[float], *, closed: bool
    ) -> None:
        """Set a state of the open task.

        Args:
            state: [1 + nq + nv].
            fixtures: as `place` takes them.
            commands: gripper commands of the episode before the state, in order; the fingers' running command follows from them.
            closed: whether the fingers were closing before the first of those.
        """
        self.joint_values(state[None])
        scene = self._scene
        scene.reset(0)
        scene.place_fixtures(fixtures)
        scene.set_state(state)
        scene.arm.resume(running_grip(commands, closed=closed))

    def step(self, action: np.ndarray, size: int | None = None) -> tuple[bool, np.ndarray | None]:
        """Execute one action [7]; whether the goal holds after it, and the main camera's image.

        Args:
            action: in the environment's units.
            size: side of the image in pixels, [size, size, 3] uint8 turned as LIBERO's protocols do; None renders none.

        Raises:
            SimulationError: the simulation became unstable.
        """
        scene, seen = self._scene, []
        if size is None:
            scene.step(action)
        else:
            renderer = self._open_renderer(size)
            scene.refresh_appearance()
            scene.step(action, lambda: seen.append(np.ascontiguousarray(renderer.render("primary")[::-1, ::-1])))
        return bool(scene.goal.holds()), seen[0] if seen else None

    def open(self, suite: str, task: str) -> None:
        if self._built != (suite, task):
            self.close()  # the renderer belongs to the task
        super().open(suite, task)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _open_renderer(self, size: int) -> Any:
        if self._renderer is None or self._renderer.size != size:
            from .render import LiberoRenderer

            self.close()
            self._renderer = LiberoRenderer(self._scene.model, self._scene.data, size)
        return self._renderer


def running_grip(commands: Sequence[float], *, closed: bool) -> float:
    """The gripper's running command after those commands: -1 open, 1 closed; it moves by a fixed amount per substep."""
    from .osc import GRIPPER_SPEED, SUBSTEPS  # loads MuJoCo, which must wait until the renderer's library is chosen

    value = 1.0 if closed else -1.0
    for command in commands:
        turn = (command > 0) - (command < 0)
        value = min(max(value + SUBSTEPS * GRIPPER_SPEED * turn, -1.0), 1.0)
    return value
