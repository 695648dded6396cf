"""LIBERO as an `Env`: any task of any LIBERO suite, one episode at a time, in this process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ...base import FRESH, Env, EnvObservation, EnvOptions, EpisodeSpec, ObservationSpec, Reset, SimulationError
from ...errors import SuiteError
from ...instructions import FirstGoal
from ...moments import Moment, Roles
from ...perturbations import language
from ...protocols import EvalProtocol
from ..goal import Goal
from ..other_goals import other_goals
from ..tasks import load_tasks
from . import scene_checks
from .compiled import compile_helpers
from .install import import_libero, init_folder, task_file
from .perturb.distractor_sets import added_categories

ACTION_SIZE = 7
"""x y z (5 cm per unit), axis-angle (0.5 rad per unit), gripper (sign only: < 0 opens, > 0 closes); world axes."""


class LiberoEnv(Env):
    """See `envs.base.Env` for the contract. Keeps the last task built; building another takes seconds."""

    action_size = ACTION_SIZE

    def __init__(self, options: EnvOptions) -> None:
        """Import LIBERO over the given assets. Raises SuiteError where something is not installed."""
        self.options = options
        import_libero(Path(options.assets), Path(options.cache), gl=options.gl)
        compile_helpers()
        self._built: tuple[str, int, tuple[str, ...]] | None = None
        self._scene: Any = None
        self._renderer: Any = None
        self._state_reader: Any = None
        self._moment_reader: Any = None
        self._closing = False
        self._terms: list[bool] | None = None
        self._edits: Any = None
        self._render_s = 0.0
        self._images: dict[str, np.ndarray] = {}
        self._proprio: dict[str, np.ndarray] = {}
        self._privileged: dict[str, Any] = {}
        self._asked_goal: Goal | None = None
        self._first_goal = FirstGoal()

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        self._build(spec)
        self._check_index(spec)
        self._undo_perturbation()
        self._prepare_renderer(observation_spec, protocol)
        self._asked_goal, self._first_goal = self._other_goal(spec), FirstGoal()
        self._render_s, self._closing, self._terms = 0.0, False, None
        settle = [np.array(protocol.settle_action)] * protocol.settle_steps
        return self._settle(spec, self._initial_state(spec), settle, push_actions(spec, protocol))

    def step(self, action: np.ndarray, *, observe: bool) -> bool:
        """Execute one control step of 50 ms; whether the goal holds after it."""
        if observe:
            self._scene.refresh_appearance()
        self._scene.step(action, self._observe if observe else None)
        self._closing = bool(action[6] > 0)
        if observe and self._spec.privileged:
            self._privileged = self._state_reader.read()
        terms = self._terms = self._scene.goal.values()
        reached = all(terms)
        if self._asked_goal:
            self._first_goal.step(asked=self._asked_goal.holds(), original=reached)
        return reached

    def observation(self) -> EnvObservation:
        """Images and proprioception of the last observed step; privileged state at its end."""
        return EnvObservation(images=self._images, proprio=self._proprio, privileged=self._privileged)

    def state(self) -> np.ndarray:
        """[1 + nq + nv] float64: time, qpos, qvel."""
        return self._scene.state()

    def measures(self) -> dict[str, bool]:
        """Which goal was reached first, with another task's instruction."""
        return self._first_goal.measures() if self._asked_goal else {}

    def render_seconds(self) -> float:
        return self._render_s

    def roles(self) -> Roles:
        return self._moment_reader.roles

    def moment(self) -> Moment:
        return self._moment_reader.read(closing=self._closing, goal=self._terms)

    def close(self) -> None:
        """Free GL memory."""
        self._undo_perturbation()
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def build(self, suite: str, task_id: int) -> Any:
        """The `LiberoScene` of a task."""
        self._build(EpisodeSpec(suite, task_id, 0, 0, ""))
        return self._scene

    def _build(self, spec: EpisodeSpec) -> None:
        name, added = _task_name(spec), added_categories(spec)
        task = (spec.suite, spec.task_id, added)
        if self._built == task:
            return
        from ..init_states import load_init_states
        from .moments import MomentReader
        from .privileged import PrivilegedState
        from .scene import LiberoScene

        self.close()
        self._built = self._scene = self._edits = None
        self._scene = LiberoScene(str(task_file(spec.suite, name)), added)
        length = int(self._scene.task_columns.sum())
        self._states = load_init_states(init_folder(spec.suite) / f"{name}.pruned_init", length)
        self._scene_check = scene_checks.scene_check_of(spec.suite, spec.task_id)
        self._state_reader = PrivilegedState(self._scene)
        self._moment_reader = MomentReader(self._scene)
        self._check_scene(spec)
        self._built = task

    def _check_scene(self, spec: EpisodeSpec) -> None:
        """Settle the task's known state once, before any episode is scored on this build."""
        if self._scene_check is None:
            return
        settle = np.array([0.0] * 6 + [-1.0])
        self._scene.reset(0)
        self._scene.set_state(self._scene.widened(self._states[self._scene_check.state]))
        before = scene_checks.object_poses(self._scene)
        try:
            for _ in range(10):
                self._scene.step(settle)
        except SimulationError as error:
            scene_checks.require(spec.suite, spec.task_id, [str(error)])
        notes = scene_checks.unusual(self._scene_check, before, scene_checks.object_poses(self._scene))
        scene_checks.require(spec.suite, spec.task_id, notes + scene_checks.restless(self._scene))

    def _check_index(self, spec: EpisodeSpec) -> None:
        states = load_tasks(spec.suite)[spec.task_id].fresh_states if spec.init_set else len(self._states)
        if spec.init_set not in ("", FRESH) or not 0 <= spec.init_state < states:
            kind = f"{spec.init_set} " if spec.init_set else ""
            raise SuiteError(
                f"{spec.suite} task {spec.task_id} has {states} {kind}initial states; {spec.init_state} is none of them"
            )

    def _initial_state(self, spec: EpisodeSpec) -> np.ndarray:
        """[1 + nq + nv] float64: time, qpos, qvel of the task's own model."""
        if not spec.init_set:
            return self._states[spec.init_state]
        from .fresh_states import fresh_state

        return fresh_state(self._scene, spec.suite, spec.task_id, spec.init_state)

    def _other_goal(self, spec: EpisodeSpec) -> Goal | None:
        """The goal that an episode's instruction asks for, where that is another task's."""
        if language.level_of(spec) != language.WRONG:
            return None
        asked = language.pick(spec, language.WRONG, other_goals(spec.suite, spec.task_id))
        return Goal(self._scene.inner, self._scene.model, self._scene.data, asked.goal)

    def _prepare_renderer(self, observation_spec: ObservationSpec, protocol: EvalProtocol) -> None:
        size = observation_spec.image_size or protocol.image_size
        self._spec, self._rotate = observation_spec, protocol.rotate_180
        if observation_spec.cameras and (self._renderer is None or self._renderer.size != size):
            from .render import LiberoRenderer

            self.close()
            self._renderer = LiberoRenderer(self._scene.model, self._scene.data, size)

    def _undo_perturbation(self) -> None:
        """Undo what the last episode's perturbation changed in the model."""
        if self._edits is not None:
            self._edits.undo()
            self._edits = None

    def _start(self, spec: EpisodeSpec, row: np.ndarray) -> None:
        """Set the initial state, with the episode's perturbation if it has one."""
        if not spec.perturbation:
            self._scene.set_state(row)
            return
        from .perturb.apply import start
        from .perturb.edits import Edits

        self._edits = Edits(self._scene.model, self._renderer)
        start(self._edits, self._scene, spec, row)

    def _settle(self, spec: EpisodeSpec, row: np.ndarray, settle: list[np.ndarray], push: list[np.ndarray]) -> Reset:
        scene = self._scene
        scene.reset(spec.env_seed)
        self._start(spec, row)
        before = scene_checks.object_poses(scene)
        states, notes, last = [scene.state()], [], len(settle) + len(push)
        if last == 0:
            scene.refresh_appearance()
            self._observe()
        for k, action in enumerate([*settle, *push], start=1):
            if k == last:
                scene.refresh_appearance()
            scene.step(action, self._observe if k == last else None)
            states.append(scene.state())
            if k == len(settle) and self._scene_check:
                notes = scene_checks.unusual(self._scene_check, before, scene_checks.object_poses(scene))
        self._privileged = (
            {**self._state_reader.read(), "scene": self._state_reader.scene_facts()} if self._spec.privileged else {}
        )
        return Reset(np.array(states), scene.fixture_poses(), tuple(notes), self._render_s)

    def _observe(self) -> None:
        """Take LIBERO's observation at this substep."""
        started = time.perf_counter()
        self._images = {camera: self._render(camera) for camera in self._spec.cameras}
        self._render_s += time.perf_counter() - started
        self._proprio = self._scene.robot_state() if self._spec.proprio else {}

    def _render(self, camera: str) -> np.ndarray:
        image = self._renderer.render(camera)
        return np.ascontiguousarray(image[::-1, ::-1]) if self._rotate else image


def push_actions(spec: EpisodeSpec, protocol: EvalProtocol) -> list[np.ndarray]:
    """Actions that push the end effector before the first decision, gripper open; empty for most protocols.

    The heading is uniform, the elevation within 30 degrees of the horizon; both are sampled from the scene alone. Five full
    steps move the end effector by about 5 cm.
    """
    if not protocol.perturbation:
        return []
    rng = np.random.default_rng(spec.entropy("push"))
    heading, rise = rng.uniform(-np.pi, np.pi), np.sin(rng.uniform(-np.pi / 6, np.pi / 6))
    level = np.sqrt(1 - rise**2)
    push = np.array([level * np.cos(heading), level * np.sin(heading), rise, 0.0, 0.0, 0.0, -1.0])
    rest = np.array([0.0] * 6 + [-1.0])
    return [push] * protocol.perturbation["steps"] + [rest] * protocol.perturbation["rest"]


def _task_name(spec: EpisodeSpec) -> str:
    tasks = load_tasks(spec.suite)
    if not 0 <= spec.task_id < len(tasks):
        raise SuiteError(f"{spec.suite} has tasks 0-{len(tasks) - 1}, not {spec.task_id}")
    return tasks[spec.task_id].name
