"""The suite contract as a check, for your own suite in a test or manually."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np

from . import protocols
from .base import CAMERAS, Env, EnvObservation, EnvOptions, EpisodeSpec, EvalProtocol, ObservationSpec, Suite, Task
from .errors import SuiteError
from .paths import cache_home
from .suites import complete

EVERYTHING = ObservationSpec(cameras=("primary",), proprio=True)
NOTHING = ObservationSpec()


def check_suite(suite: Suite, options: EnvOptions | None = None, *, task_id: int | None = None, steps: int = 3) -> None:
    """Raises SuiteError naming the first promise of `Suite` or `Env` that is broken.

    Required members, and optional ones of the right type; listing without a simulator; resets that leave nothing of the
    episode before; states that do not depend on what is observed; observations of exactly what `ObservationSpec` names and of
    the declared sizes, rendered only where a decision is due; seeds that matter exactly where a task says so.

    Args:
        suite: the suite, checked in this process.
        options: of its environment; None for the suite's own assets, rendered with MUJOCO_GL. With `gl="none"` no images are
            rendered, unless the suite renders by other means (`opengl = False`).
        task_id: the task to run; None for the first.
        steps: control steps per episode.
    """
    suite = complete(suite)
    protocol = _check_listing(suite)
    _check_declarations(suite)
    task = _task(suite, task_id)
    options = options or EnvOptions(suite.resolve_assets("auto").path, os.environ.get("MUJOCO_GL", "none"), str(cache_home()))
    renders = options.gl != "none" or not suite.opengl
    check = _Check(suite, task, protocol, EVERYTHING if renders else replace(EVERYTHING, cameras=()), steps)
    with closing(suite.make_env(options)) as env:
        first = check.episode(env)
        check.rendering(env)
        check.same(first, check.episode(env, observation_spec=NOTHING), "observing changes the simulator's states")
        check.episode(env, state=min(1, task.init_states - 1), seed=1)
        check.same(first, check.episode(env), "a reset leaves something of the episode before")
        check.seeds(env, first)
    with closing(suite.make_env(options)) as other:
        check.same(first, check.episode(other), "two environments run the same episode differently")


def _check_listing(suite: Suite) -> EvalProtocol:
    """Names, tasks, step limit; the default protocol."""
    _promise(bool(suite.name and suite.family and suite.title), "a suite has a name, a family and a title")
    ids = [task.id for task in suite.tasks]
    _promise(bool(ids) and len(set(ids)) == len(ids), "a suite has tasks, of different ids")
    for task in suite.tasks:
        complete_task = bool(task.name and task.instruction) and task.init_states > 0
        _promise(complete_task, f"task {task.id} lacks a name, an instruction or initial states")
    versions = suite.versions()
    plain = isinstance(versions, Mapping) and all(isinstance(text, str) for pair in versions.items() for text in pair)
    _promise(plain, "versions() maps names of distributions to versions, both texts")
    protocol = suite.protocols.get(suite.default_protocol) or protocols.get(suite.default_protocol)
    _promise(protocol.family == suite.family, f"its protocol {protocol.name} is for {protocol.family}, not {suite.family}")
    _promise(suite.name in protocol.max_steps, f"its protocol {protocol.name} has no step budget for it")
    return protocol


def _check_declarations(suite: Suite) -> None:
    known = set(suite.cameras) <= set(CAMERAS)
    _promise(known, f"cameras are some of {', '.join(CAMERAS)}, not {suite.cameras!r}")
    foreign = suite.foreign_backend
    _promise(not foreign or foreign in suite.backends, f"foreign_backend {foreign!r} is one of its backends")


def _task(suite: Suite, task_id: int | None) -> Task:
    tasks = [task for task in suite.tasks if task_id in (None, task.id)]
    _promise(bool(tasks), f"{suite.name} has no task {task_id}")
    return tasks[0]


class _Check:
    """Runs short episodes of one task with actions sampled from a fixed seed."""

    def __init__(self, suite: Suite, task: Task, protocol: EvalProtocol, observation_spec: ObservationSpec, steps: int) -> None:
        self.suite, self.task, self.protocol, self.observation_spec, self.steps = suite, task, protocol, observation_spec, steps

    def episode(self, env: Env, *, observation_spec: ObservationSpec | None = None, state: int = 0, seed: int = 0) -> list[bytes]:
        """Fixtures and states of an episode, observed after every step."""
        observation_spec = self.observation_spec if observation_spec is None else observation_spec
        declared = len(self.suite.action_spec)
        _promise(declared in (0, env.action_size), f"action_spec declares {declared} numbers, action_size is {env.action_size}")
        spec = EpisodeSpec(self.suite.name, self.task.id, state, seed, self.protocol.name)
        reset = env.reset(spec, self.protocol, observation_spec)
        states = reset.states
        _promise(states.ndim == 2 and states.dtype == np.float64 and len(states) > 0, "states are [at least 1, size] float64")
        _promise(bool(np.isfinite(states).all()), "states after a reset are finite")
        self._check_observation(env.observation(), observation_spec)
        rng = np.random.default_rng(0)
        later = []
        for _ in range(self.steps):
            goal = env.step(rng.uniform(-0.2, 0.2, env.action_size), observe=True)
            _promise(isinstance(goal, bool | np.bool_), "step returns whether the goal holds")
            _promise(env.state().shape == states.shape[1:], "state() has the size of a reset's states")
            later.append(env.state().astype("<f8").tobytes())
            self._check_observation(env.observation(), observation_spec)
        fixtures = json.dumps({name: list(map(float, pose)) for name, pose in reset.fixtures.items()}, sort_keys=True)
        return [fixtures.encode(), states.astype("<f8").tobytes(), *later]

    def _check_observation(self, observation: EnvObservation, spec: ObservationSpec) -> None:
        side = spec.image_size or self.protocol.image_size
        cameras = f"an observation has images {sorted(observation.images)} where {sorted(spec.cameras)} are specified"
        _promise(set(observation.images) == set(spec.cameras), cameras)
        for name, image in observation.images.items():
            _promise(image.dtype == np.uint8 and image.shape == (side, side, 3), f"image {name} is [{side}, {side}, 3] uint8")
        sizes = {key.name: key.size for key in self.suite.proprio_spec}
        for name, vector in observation.proprio.items():
            _promise(vector.dtype == np.float64 and vector.ndim == 1, f"proprioception {name} is a float64 vector")
            size = sizes.get(name, len(vector))
            _promise(len(vector) == size, f"proprio_spec declares {size} numbers of {name}, and {len(vector)} are observed")
        _promise(spec.proprio or not observation.proprio, "proprioception is observed only where it is specified")
        _promise(spec.privileged or not observation.privileged, "privileged state is observed only where it is specified")

    def rendering(self, env: Env) -> None:
        """Nothing is rendered where no decision follows."""
        spec = EpisodeSpec(self.suite.name, self.task.id, 0, 0, self.protocol.name)
        env.reset(spec, self.protocol, self.observation_spec)
        before, spent = {name: image.copy() for name, image in env.observation().images.items()}, env.render_seconds()
        for _ in range(self.steps):
            env.step(np.full(env.action_size, 0.2), observe=False)
        same = all(np.array_equal(image, before[name]) for name, image in env.observation().images.items())
        _promise(same and env.render_seconds() == spent, "it renders where no decision is due")

    def seeds(self, env: Env, first: list[bytes]) -> None:
        """A seed changes the scene exactly where the task says so."""
        if not self.protocol.perturbation:
            changed = self.episode(env, seed=1) != first
            verb = "does" if changed else "does not"
            _promise(changed == self.task.seeded, f"task {self.task.id} says seeded={self.task.seeded}; a seed {verb} matter")

    def same(self, first: list[bytes], second: list[bytes], broken: str) -> None:
        """Two episodes have the same states."""
        _promise(first == second, f"{broken} (task {self.task.id})")


def _promise(kept: bool, text: str) -> None:
    if not kept:
        raise SuiteError(f"the contract of suites is broken: {text}")
