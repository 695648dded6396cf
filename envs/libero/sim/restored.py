"""Recorded states outside an episode: rendering them, and replaying actions from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ...base import EnvOptions
from ...errors import SuiteError
from .install import import_libero, task_file


class StateRestorer:
    """Any LIBERO task in this process, set to recorded states. Keeps the last task built."""

    def __init__(self, options: EnvOptions) -> None:
        """Import LIBERO over the given assets. Raises SuiteError where something is not installed."""
        import_libero(Path(options.assets), Path(options.cache), gl=options.gl)
        self._built: tuple[str, str] | None = None
        self._scene: Any = None

    def open(self, suite: str, task: str) -> None:
        """Build a task unless it is already built. Raises SuiteError for a task that LIBERO does not have."""
        if self._built == (suite, task):
            return
        from .scene import LiberoScene

        self.close()
        self._built = self._scene = None
        path = task_file(suite, task)
        if not path.is_file():
            raise SuiteError(f"task {task} of {suite} not found: {path}. Type: nora-bench list tasks --suite {suite}")
        self._scene = LiberoScene(str(path))
        self._scene.reset(0)  # hides the markers that robosuite shows at its sites
        self._built = (suite, task)

    def place(self, fixtures: Mapping[str, Sequence[float]]) -> None:
        """Set fixture poses: name -> x y z (m), qw qx qy qz, world frame."""
        self._scene.place_fixtures(fixtures)

    def fixtures_in(self, model: str) -> dict[str, list[float]]:
        """Fixture poses in the XML of a recorded model, as `place` takes them. Raises SuiteError if one is missing."""
        bodies = {element.get("name"): element for element in ElementTree.fromstring(model).iter("body")}
        return {name: _pose(bodies, self._scene.model.body(body).name) for name, body in self._scene.fixtures.items()}

    def joint_values(self, states: np.ndarray) -> np.ndarray:
        """[rows, nq] from states [rows, 1 + nq + nv]. Raises SuiteError for states of another size than this task's."""
        if states.shape[1] != self._scene.state_size:
            suite, task = self._built or ("", "")
            raise SuiteError(
                f"states have {states.shape[1]} numbers, not {self._scene.state_size} as {suite} {task}: they are of another task"
            )
        return states[:, 1 : 1 + self._scene.model.nq]

    def close(self) -> None:
        """Free resources outside Python."""


class StateRenderer(StateRestorer):
    """Renderer of recorded states: the images that the environment returned, or would have."""

    def __init__(self, options: EnvOptions) -> None:
        """See `StateRestorer`."""
        super().__init__(options)
        self._renderer: Any = None

    def render(self, qpos: np.ndarray, before: np.ndarray, camera: str, size: int) -> Iterator[np.ndarray]:
        """[size, size, 3] uint8 for every row; pixel rows in OpenGL order, bottom first.

        Args:
            qpos: [rows, nq] joint values to render.
            before: [rows, nq] joint values one control step earlier, which decide changes of appearance only (a burner).
            camera: `primary` or `wrist`.
            size: side of the images, pixels.
        """
        from .memory import mujoco

        self._prepare_renderer(size)
        model, data = self._scene.model, self._scene.data
        for current, earlier in zip(qpos, before, strict=True):
            data.qpos[:] = earlier
            self._scene.refresh_appearance()
            data.qpos[:] = current
            mujoco.mj_fwdPosition(model, data)
            yield self._renderer.render(camera)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _prepare_renderer(self, size: int) -> None:
        if self._renderer is None or self._renderer.size != size:
            from .render import LiberoRenderer

            self.close()
            self._renderer = LiberoRenderer(self._scene.model, self._scene.data, size)


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Result of a replay. Row t is the state before action t."""

    states: np.ndarray
    """[steps, 1 + nq + nv] float64."""
    seen_qpos: np.ndarray
    """[steps, nq] float64: joint values in LIBERO's observation."""
    robot_states: np.ndarray
    """[steps, 9] float64: fingers (2, m), grip site x y z (m), end-effector quaternion x y z w."""
    success: bool
    """Whether the goal holds after the last action."""
    columns: Mapping[str, int]
    """Joint -> its first column of `states`."""
    model: str
    """The model's XML with the fixtures of this episode."""


class StateReplayer(StateRestorer):
    """Replay of actions from a recorded state, as LIBERO's environment would after a reset to it."""

    def replay(
        self, state: np.ndarray, actions: np.ndarray, fixtures: Mapping[str, Sequence[float]], settle: Sequence[np.ndarray]
    ) -> Trajectory:
        """Set fixtures and state, settle, execute the actions. Raises SimulationError if the simulation becomes unstable.

        Args:
            state: [1 + nq + nv].
            actions: [steps, 7].
            fixtures: as `place` takes them.
            settle: actions that are executed first and not recorded.
        """
        scene = self._scene
        self.joint_values(state[None])
        scene.reset(0)
        scene.place_fixtures(fixtures)
        scene.set_state(state)
        for action in settle:
            scene.step(action)
        rows: list[tuple[np.ndarray, ...]] = []
        for action in actions:
            rows.append((scene.state(), scene.seen_qpos.copy(), _robot_state(scene)))
            scene.step(action)
        states, seen, robot = (np.array(column) for column in zip(*rows, strict=True))
        joints = (scene.model.joint(index) for index in range(scene.model.njnt))
        columns = {joint.name: 1 + int(joint.qposadr[0]) for joint in joints}
        return Trajectory(states, seen, robot, bool(scene.goal.holds()), columns, scene.model_xml())


def _robot_state(scene: Any) -> np.ndarray:
    robot = scene.robot_state()
    return np.concatenate([robot["gripper_qpos"], robot["eef_pos"], robot["eef_quat"]])


def _pose(bodies: Mapping[str | None, Any], body: str) -> list[float]:
    if body not in bodies:
        raise SuiteError(f"body {body} not found in the recorded model: it belongs to another task or another LIBERO version")
    element = bodies[body]
    return [float(x) for x in [*element.get("pos", "0 0 0").split(), *element.get("quat", "1 0 0 0").split()]]
