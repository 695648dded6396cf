"""From a configuration to the episodes of a run: pure, and in the same order every time.

Where neither policy nor scene nor protocol depends on the seed, all seeds are the same episode. It is then planned
once, under the first seed; the plan counts the others as repeats, which are not played and enter no statistics.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...envs import protocols, suites
from ...envs.base import EpisodeSpec, EvalProtocol, Suite, Task
from ...envs.errors import SuiteError, nearest
from ..config import RunConfig
from ..errors import InputError, MissingRequirementError
from .sampling import spread


@dataclass(frozen=True, slots=True)
class Stage:
    """What episodes of a run play on: its suites, of one family, under one protocol."""

    suites: tuple[Suite, ...]
    references: tuple[str, ...]
    """The suites as a worker can look them up (name or import path), in the same order."""
    protocol: EvalProtocol
    backend: str = ""
    """Which of the suites' backends plays; empty where there is only one way."""
    python: str = sys.executable
    """Interpreter of the workers."""

    def suite(self, name: str) -> Suite:
        """The suite of that name."""
        return next(suite for suite in self.suites if suite.name == name)

    def task(self, spec: EpisodeSpec) -> Task:
        """The task that an episode plays."""
        return next(task for task in self.suite(spec.suite).tasks if task.id == spec.task_id)

    def steps(self, spec: EpisodeSpec) -> int:
        """The protocol's budget for an episode in control steps."""
        return self.protocol.steps(spec.suite, self.task(spec).name)

    def instruction(self, spec: EpisodeSpec) -> str:
        """What the policy is told in an episode."""
        return self.suite(spec.suite).instruction(spec)


@dataclass(frozen=True, slots=True)
class Plan:
    """The episodes to play, and how many more would repeat them."""

    episodes: tuple[EpisodeSpec, ...]
    repeated: int

    def without(self, keys: Collection[str]) -> Plan:
        """What is left when those episodes are done."""
        return replace(self, episodes=tuple(spec for spec in self.episodes if spec.key not in keys))


def find_stage(config: RunConfig) -> Stage:
    """Look the suites and the protocol up. Raises InputError, MissingRequirementError for a suite that cannot be imported."""
    references = tuple(dict.fromkeys(name for wanted in config.suite for name in suites.expand(wanted)))
    found = tuple(_find_suite(reference) for reference in references)
    families = sorted({suite.family for suite in found})
    if len(families) > 1:
        raise InputError(f"one run plays one family of suites; start one run each for {' and '.join(families)}")
    protocol = _find_protocol(config.protocol or found[0].default_protocol, found)
    return Stage(found, references, protocol, *_find_backend(config, found[0]))


def _find_backend(config: RunConfig, suite: Suite) -> tuple[str, str]:
    """The backend, and the interpreter of its workers.

    A suite with `backends` may name the one among them that is played by an interpreter of its own (`foreign_backend`):
    giving that interpreter chooses it, and it cannot be chosen without.
    """
    backends, foreign = suite.backends, suite.foreign_backend
    python = _find_python(config, suite)
    if config.backend and config.backend not in backends:
        there = f"it has {', '.join(backends)}" if backends else "it is played in one way only"
        raise InputError(f"{suite.name} has no backend {config.backend!r}; {there}")
    backend = config.backend or (foreign if python and foreign else "".join(backends[:1]))
    if backend and backend == foreign and not python:
        raise MissingRequirementError(
            f"backend {foreign} needs an interpreter of its own. Type: nora-bench run --python {suite.family}=/path/to/python ..."
            "   (docs/simplerenv.md says how to set one up)"
        )
    return backend, python or sys.executable


def _find_python(config: RunConfig, suite: Suite) -> str:
    """The interpreter named for that family of suites; empty where none is."""
    if unknown := set(config.python) - {suite.family}:
        raise InputError(f"--python {min(unknown)}=...: this run plays suites of the family {suite.family}")
    given = config.python.get(suite.family, "")
    found = shutil.which(given)
    if given and not found:
        raise InputError(f"--python {suite.family}={given}: there is no such program")
    return str(Path(found).absolute()) if found else ""


def _find_suite(reference: str) -> Suite:
    try:
        return suites.get(reference)
    except KeyError:
        known = (*suites.GROUPS, *suites.names())
        raise InputError(f"unknown suite {reference!r}{nearest(reference, known)}; see `nora-bench list suites`") from None
    except ValueError as error:
        raise InputError(f"--suite: {error}") from None
    except (ImportError, SuiteError) as error:
        raise MissingRequirementError(f"suite {reference} cannot be used: {error}") from None


def _find_protocol(name: str, found: Sequence[Suite]) -> EvalProtocol:
    """A protocol of ours, or one that the suite brings along (optional attribute `protocols`)."""
    own = found[0].protocols
    try:
        protocol = own[name] if name in own else protocols.get(name)
    except KeyError as error:
        raise InputError(error.args[0]) from None
    if protocol.family != found[0].family:
        fitting = [other for other in (*own, *protocols.names()) if other.startswith(f"{found[0].family}/")]
        raise InputError(f"protocol {name} is for {protocol.family}, not {found[0].family}; one of: {', '.join(fitting)}")
    for suite in found:
        if suite.name not in protocol.max_steps:
            raise InputError(f"protocol {name} has no step budget for {suite.name}; see `nora-bench list protocols`")
    return protocol


def make_plan(config: RunConfig, stage: Stage, *, stochastic: bool) -> Plan:
    """All episodes of a run, task by task; seeds that change nothing are left out. Raises InputError."""
    episodes: list[EpisodeSpec] = []
    repeated = 0
    for suite, task in _chosen(config.tasks, stage):
        scenes = _scenes(config, suite, task)
        seeds = config.seeds if stochastic or task.seeded or stage.protocol.perturbation else config.seeds[:1]
        repeated += len(scenes) * (len(config.seeds) - len(seeds))
        for seed in seeds:
            episodes += [EpisodeSpec(suite.name, task.id, state, seed, stage.protocol.name, name) for name, state in scenes]
    return Plan(tuple(episodes), repeated)


def _chosen(wanted: Sequence[str], stage: Stage) -> list[tuple[Suite, Task]]:
    """The tasks that `--tasks` names, in each suite in the suite's order."""
    every = [(suite, task) for suite in stage.suites for task in suite.tasks]
    for name in wanted:
        missing = [suite for suite in stage.suites if not any(_is(task, name) for task in suite.tasks)]
        if name.isdigit() and missing:
            last = max(task.id for task in missing[0].tasks)
            raise InputError(f"{missing[0].name} has no task {name}; its tasks are 0 to {last}")
        if len(missing) == len(stage.suites):
            names = [task.name for _, task in every]
            raise InputError(f"no suite of this run has a task {name!r}{nearest(name, names)}; see `nora-bench list tasks`")
    return [(suite, task) for suite, task in every if not wanted or any(_is(task, name) for name in wanted)]


def _is(task: Task, name: str) -> bool:
    return name in (str(task.id), task.name)


def _scenes(config: RunConfig, suite: Suite, task: Task) -> list[tuple[str, int]]:
    """(variant, initial state) of every episode per seed: all, or as many as asked for. Raises InputError."""
    states = config.init_states or range(task.init_states)
    for state in states:
        if state >= task.init_states:
            raise InputError(f"{suite.name} task {task.id} has no initial state {state}; they are 0 to {task.init_states - 1}")
    variants = task.variants or ("",)
    there = len(states) * len(variants)
    if config.episodes is not None and config.episodes > there:
        raise InputError(
            f"--episodes {config.episodes}: {suite.name} task {task.id} has {there} initial states to start from; "
            "to play each more than once, raise --seeds"
        )
    if task.variants:
        return spread(variants, states, config.episodes or there)
    return [("", state) for state in states[: config.episodes]]
