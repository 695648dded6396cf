"""The suite contract as a check that anybody can run on their own suite, in a test or by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np

from . import protocols
from .base import Env, EnvObservation, EnvOptions, EpisodeSpec, EvalProtocol, ObservationSpec, Suite, Task
from .errors import SuiteError
from .paths import cache_home

EVERYTHING = ObservationSpec(cameras=("primary",), proprio=True)
NOTHING = ObservationSpec()


def check_suite(suite: Suite, options: EnvOptions | None = None, *, task_id: int | None = None, steps: int = 3) -> None:
    """Raises SuiteError naming the first promise of `Suite` or `Env` that is broken.

    Listing without a simulator; resets that leave nothing of the episode before; the same states whatever is looked at;
    only what `ObservationSpec` names is shown, and pictures only where a decision is due; seeds that matter exactly where a
    task says so.

    Args:
        suite: what is checked, in this process.
        options: what its world is built with; None for its own assets, drawn with MUJOCO_GL. With `gl="none"` pictures are not
            asked for, unless the suite draws by other means (`opengl = False`).
        task_id: the task that is played; None for the first.
        steps: control steps played per episode.
    """
    protocol = _check_listing(suite)
    task = _task(suite, task_id)
    options = options or EnvOptions(suite.resolve_assets("auto").path, os.environ.get("MUJOCO_GL", "none"), str(cache_home()))
    draws = options.gl != "none" or not getattr(suite, "opengl", True)
    check = _Check(suite, task, protocol, EVERYTHING if draws else replace(EVERYTHING, cameras=()), steps)
    with closing(suite.make_env(options)) as world:
        first = check.one(world)
        check.looks(world)
        check.same(first, check.one(world, observation_spec=NOTHING), "looking changes the simulator's states")
        check.one(world, state=min(1, task.init_states - 1), seed=1)
        check.same(first, check.one(world), "a reset leaves something of the episode before")
        check.seeds(world, first)
    with closing(suite.make_env(options)) as other:
        check.same(first, check.one(other), "two worlds play the same episode differently")


def _check_listing(suite: Suite) -> EvalProtocol:
    """Names, tasks, budget; the default protocol."""
    _promise(bool(suite.name and suite.family and suite.title), "a suite has a name, a family and a title")
    ids = [task.id for task in suite.tasks]
    _promise(bool(ids) and len(set(ids)) == len(ids), "a suite has tasks, of different ids")
    for task in suite.tasks:
        told = bool(task.name and task.instruction)
        _promise(told and task.init_states > 0, f"task {task.id} lacks a name, an instruction or initial states")
    versions = suite.versions()
    plain = isinstance(versions, Mapping) and all(isinstance(text, str) for pair in versions.items() for text in pair)
    _promise(plain, "versions() maps names of distributions to versions, both texts")
    own: Mapping[str, EvalProtocol] = getattr(suite, "protocols", {})
    protocol = own.get(suite.default_protocol) or protocols.get(suite.default_protocol)
    _promise(protocol.family == suite.family, f"its protocol {protocol.name} is for {protocol.family}, not {suite.family}")
    _promise(suite.name in protocol.budget, f"its protocol {protocol.name} has no step budget for it")
    return protocol


def _task(suite: Suite, task_id: int | None) -> Task:
    found = [task for task in suite.tasks if task_id in (None, task.id)]
    _promise(bool(found), f"there is no task {task_id}")
    return found[0]


class _Check:
    """Plays short episodes of one task with commands drawn from a fixed seed."""

    def __init__(self, suite: Suite, task: Task, protocol: EvalProtocol, observation_spec: ObservationSpec, steps: int) -> None:
        self.suite, self.task, self.protocol, self.observation_spec, self.steps = suite, task, protocol, observation_spec, steps

    def one(self, world: Env, *, observation_spec: ObservationSpec | None = None, state: int = 0, seed: int = 0) -> list[bytes]:
        """Fixtures and states of an episode, looked at after every step."""
        observation_spec = self.observation_spec if observation_spec is None else observation_spec
        found = world.reset(
            EpisodeSpec(self.suite.name, self.task.id, state, seed, self.protocol.name), self.protocol, observation_spec
        )
        states = found.states
        _promise(states.ndim == 2 and states.dtype == np.float64 and len(states) > 0, "states are [at least 1, size] float64")
        _promise(bool(np.isfinite(states).all()), "states after a reset are finite")
        self._shown(world.observation(), observation_spec)
        rng = np.random.default_rng(0)
        played = []
        for _ in range(self.steps):
            goal = world.step(rng.uniform(-0.2, 0.2, world.action_size), observe=True)
            _promise(isinstance(goal, bool | np.bool_), "step tells whether the goal holds")
            _promise(world.state().shape == states.shape[1:], "state() has the size of a reset's states")
            played.append(world.state().astype("<f8").tobytes())
            self._shown(world.observation(), observation_spec)
        fixtures = json.dumps({name: list(map(float, pose)) for name, pose in found.fixtures.items()}, sort_keys=True)
        return [fixtures.encode(), states.astype("<f8").tobytes(), *played]

    def _shown(self, view: EnvObservation, observation_spec: ObservationSpec) -> None:
        side = observation_spec.image_size or self.protocol.image_size
        wanted = f"it shows pictures {sorted(view.images)} where {sorted(observation_spec.cameras)} are needed"
        _promise(set(view.images) == set(observation_spec.cameras), wanted)
        for name, image in view.images.items():
            _promise(image.dtype == np.uint8 and image.shape == (side, side, 3), f"picture {name} is [{side}, {side}, 3] uint8")
        for name, vector in view.proprio.items():
            _promise(vector.dtype == np.float64 and vector.ndim == 1, f"proprioception {name} is a float64 vector")
        _promise(observation_spec.proprio or not view.proprio, "proprioception is shown only where it is needed")
        _promise(observation_spec.privileged or not view.privileged, "privileged state is shown only where it is needed")

    def looks(self, world: Env) -> None:
        """Nothing is drawn where no decision follows."""
        spec = EpisodeSpec(self.suite.name, self.task.id, 0, 0, self.protocol.name)
        world.reset(spec, self.protocol, self.observation_spec)
        before, spent = {name: image.copy() for name, image in world.observation().images.items()}, world.render_seconds()
        for _ in range(self.steps):
            world.step(np.full(world.action_size, 0.2), observe=False)
        same = all(np.array_equal(image, before[name]) for name, image in world.observation().images.items())
        _promise(same and world.render_seconds() == spent, "it draws where no decision is due")

    def seeds(self, world: Env, first: list[bytes]) -> None:
        """A seed changes the scene exactly where the task says so."""
        if not self.protocol.push:
            changed = self.one(world, seed=1) != first
            found = "does" if changed else "does not"
            _promise(changed == self.task.seeded, f"task {self.task.id} says seeded={self.task.seeded}; a seed {found} matter")

    def same(self, first: list[bytes], second: list[bytes], broken: str) -> None:
        """Two episodes have the same states."""
        _promise(first == second, f"{broken} (task {self.task.id})")


def _promise(kept: bool, text: str) -> None:
    if not kept:
        raise SuiteError(f"the contract of suites is broken: {text}")
