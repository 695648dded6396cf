"""Plan of a run: configuration -> episodes. Pure, and in the same order every time.

Where neither policy nor scene nor protocol depends on the seed, all seeds are the same episode. It is then planned
once, under the first seed; the plan counts the others as repeats, which are omitted and enter no statistics.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...envs import protocols, suites
from ...envs.base import EpisodeSpec, EvalProtocol, Suite, Task
from ...envs.errors import InputError, MissingRequirementError, SuiteError, UnknownName, nearest
from ...envs.perturbations import language
from ...results.coverage import ranges
from ..config import RunConfig, split_state
from .latency import require_delays
from .perturbed import with_perturbations


@dataclass(frozen=True, slots=True)
class EvalSetup:
    """The suites of a run, of one family, and its protocol."""

    suites: tuple[Suite, ...]
    references: tuple[str, ...]
    """Names or import paths of the suites, in the same order, for workers."""
    protocol: EvalProtocol
    backend: str = ""
    """The suites' backend; empty where they have only one."""
    python: str = sys.executable
    """Interpreter of the workers."""

    def suite(self, name: str) -> Suite:
        """The suite of that name."""
        return next(suite for suite in self.suites if suite.name == name)

    def task(self, spec: EpisodeSpec) -> Task:
        """The task of an episode."""
        return next(task for task in self.suite(spec.suite).tasks if task.id == spec.task_id)

    def steps(self, spec: EpisodeSpec) -> int:
        """The protocol's budget for an episode in control steps."""
        return self.protocol.steps(spec.suite, self.task(spec).name)

    def instruction(self, spec: EpisodeSpec) -> str:
        """The instruction that an episode starts with, as its perturbation alters it."""
        return language.given(self.suite(spec.suite), spec)

    def present_instruction(self, spec: EpisodeSpec, first: str, changed: str) -> str:
        """The instruction at a decision: the first one, or the one that the environment changed it to."""
        return language.present(self.suite(spec.suite), spec, first, changed)


@dataclass(frozen=True, slots=True)
class Plan:
    """The episodes to run, and how many more would repeat them."""

    episodes: tuple[EpisodeSpec, ...]
    repeated: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Cause -> perturbed episodes that are not run."""

    @property
    def perturbed(self) -> int:
        """Number of episodes with a perturbation."""
        return sum(bool(spec.perturbation) for spec in self.episodes)

    def without(self, keys: Collection[str]) -> Plan:
        """The plan without those episodes."""
        return replace(self, episodes=tuple(spec for spec in self.episodes if spec.key not in keys))


def resolve_setup(config: RunConfig, recorded_backend: str = "") -> EvalSetup:
    """Look the suites and the protocol up.

    Args:
        config: the run's configuration.
        recorded_backend: the backend where the configuration names none; empty for the suite's default.

    Raises:
        InputError: an unknown name.
        MissingRequirementError: a suite that cannot be imported, or a backend that cannot run on this machine.
    """
    references = tuple(dict.fromkeys(name for group in config.suite for name in suites.expand(group)))
    members = tuple(suites.get(reference) for reference in references)
    families = sorted({suite.family for suite in members})
    if len(families) > 1:
        raise InputError(f"a run has suites of one family; start one run each for {' and '.join(families)}")
    protocol = _find_protocol(config.protocol, members)
    return EvalSetup(members, references, protocol, *_find_backend(config, members[0], recorded_backend))


def _find_backend(config: RunConfig, suite: Suite, recorded: str) -> tuple[str, str]:
    """The backend, and the interpreter of its workers.

    A suite with `backends` may name one that needs an interpreter of its own (`foreign_backend`): `--python` selects it, and it
    cannot be selected without.
    """
    backends, foreign = suite.backends, suite.foreign_backend
    python = _find_python(config, suite)
    if config.backend and config.backend not in backends:
        there = f"it has {', '.join(backends)}" if backends else "it has a single one, without a name"
        raise InputError(f"{suite.name} has no backend {config.backend!r}; {there}")
    backend = config.backend or recorded or (foreign if python and foreign else "".join(backends[:1]))
    if backend and backend == foreign and not python:
        raise MissingRequirementError(
            f"backend {foreign} needs an interpreter of its own. Type: nora-bench run --python {suite.family}=/path/to/python ..."
            "   (docs/reference/simplerenv.md says how to set one up)"
        )
    if problem := suites.call_suite(suite, "backend_problem", backend):
        raise MissingRequirementError(f"backend {backend}: {problem}")
    return backend, python or sys.executable


def _find_python(config: RunConfig, suite: Suite) -> str:
    """The interpreter configured for that family of suites; empty for none."""
    if unknown := set(config.python) - {suite.family}:
        raise InputError(f"--python {min(unknown)}=...: this run's suites are of the family {suite.family}")
    given = config.python.get(suite.family, "")
    path = shutil.which(given)
    if given and not path:
        raise InputError(f"--python {suite.family}={given}: program not found")
    return str(Path(path).absolute()) if path else ""


def _find_protocol(given: str | None, members: Sequence[Suite]) -> EvalProtocol:
    """A protocol of nora-bench, or of the suite itself (optional attribute `protocols`); the suite's default if none is given."""
    own, name = members[0].protocols, given or members[0].default_protocol
    try:
        protocol = own[name] if name in own else protocols.get(name)
    except UnknownName as error:
        if given:
            raise
        raise SuiteError(f"suite {members[0].name}: its default_protocol is an {error}") from None
    if protocol.family != members[0].family:
        fitting = [other for other in (*own, *protocols.names()) if other.startswith(f"{members[0].family}/")]
        raise InputError(f"protocol {name} is for {protocol.family}, not {members[0].family}; one of: {', '.join(fitting)}")
    for suite in members:
        if suite.name not in protocol.max_steps:
            raise InputError(f"protocol {name} has no step budget for {suite.name}; see `nora-bench list protocols`")
    return protocol


def make_plan(config: RunConfig, setup: EvalSetup, *, stochastic: bool, elsewhere: Collection[str] = ()) -> Plan:
    """All episodes of a run, task by task; seeds that change nothing are omitted. Raises InputError.

    `elsewhere`: keys of controls of perturbed episodes that another run has.
    """
    episodes: list[EpisodeSpec] = []
    repeated = 0
    for suite, task in _chosen(config.tasks, setup):
        scenes = _scenes(config, suite, task)
        seeds = config.seeds if stochastic or task.seeded or setup.protocol.perturbation else config.seeds[:1]
        repeated += len(scenes) * (len(config.seeds) - len(seeds))
        for seed in seeds:
            episodes += [
                EpisodeSpec(suite.name, task.id, k, seed, setup.protocol.name, name, init_set) for name, init_set, k in scenes
            ]
    if not config.perturb:
        return Plan(tuple(episodes), repeated)
    require_delays(config.perturb, setup.suites, setup.protocol, config.executor)
    members = {suite.name: suite for suite in setup.suites}
    perturbed, excluded = with_perturbations(episodes, config.perturb, members, elsewhere)
    return Plan(tuple(perturbed), repeated, excluded)


def _chosen(names: Sequence[str], setup: EvalSetup) -> list[tuple[Suite, Task]]:
    """The tasks that `--tasks` names, in each suite in the suite's order."""
    every = [(suite, task) for suite in setup.suites for task in suite.tasks]
    for name in names:
        missing = [suite for suite in setup.suites if not any(_is(task, name) for task in suite.tasks)]
        if name.isdigit() and missing:
            known = ranges(task.id for task in missing[0].tasks)
            raise InputError(f"{missing[0].name} has no task {name}; its tasks: {known}")
        if len(missing) == len(setup.suites):
            known = [task.name for _, task in every]
            raise InputError(f"no suite of this run has a task {name!r}{nearest(name, known)}; see `nora-bench list tasks`")
    return [(suite, task) for suite, task in every if not names or any(_is(task, name) for name in names)]


def _is(task: Task, name: str) -> bool:
    return name in (str(task.id), task.name)


def _scenes(config: RunConfig, suite: Suite, task: Task) -> list[tuple[str, str, int]]:
    """(variant, set, initial state) of every episode per seed: all, or `config.episodes` of them. Raises InputError."""
    chosen = [split_state(state) for state in config.init_states] or [("", state) for state in range(task.init_states)]
    init_set, states = chosen[0][0], [number for _, number in chosen]
    require_states(suite.name, task, init_set, states)
    variants = task.variants or ("",)
    available = len(states) * len(variants)
    if config.episodes is not None and config.episodes > available:
        raise InputError(
            f"--episodes {config.episodes}: {suite.name} task {task.id} has {available} initial states; "
            "to run each more than once, raise --seeds"
        )
    pairs = spread_evenly(variants, states, config.episodes or available) if task.variants else [("", state) for state in states]
    return [(name, init_set, state) for name, state in pairs[: config.episodes]]


def require_states(suite: str, task: Task, init_set: str, states: Iterable[int]) -> None:
    """Raise InputError for an initial state that the task does not have in that set."""
    count, kind = (task.fresh_states, "fresh initial state") if init_set else (task.init_states, "initial state")
    for state in states:
        if state >= count:
            known = f"they are 0 to {count - 1}" if count else "there are none"
            raise InputError(f"{suite} task {task.id} has no {kind} {state}; {known}", option="--init-states", value=state)


GOLDEN = (3 - math.sqrt(5)) / 2
"""Golden angle as a share of a circle: points added one by one at this angle stay evenly spread."""


def spread_evenly(variants: Sequence[str], states: Sequence[int], count: int) -> list[tuple[str, int]]:
    """`count` (variant, initial state) pairs, grouped by variant, both in the order given; nothing is random.

    Every variant runs once before any runs twice, and the sample for N is contained in that for every larger N, so that a longer
    run only adds episodes. Each pass visits the variants with a stride that jumps between subtasks and appearances, and
    successive passes move through the initial states with a stride that covers the whole table.
    """
    pairs = _passes(len(variants), len(states))
    chosen = {next(pairs) for _ in range(min(count, len(variants) * len(states)))}
    return [(variants[v], states[s]) for v, s in sorted(chosen)]


def _passes(variants: int, states: int) -> Iterator[tuple[int, int]]:
    """Every (variant index, state index) once, in sampling order."""
    order = _low_discrepancy(variants)
    places = _low_discrepancy(states)
    stride = next(n for n in range(variants, variants + states) if math.gcd(n, states) == 1)
    for turn in range(states):
        for number, variant in enumerate(order):
            yield variant, places[(turn * stride + number) % states]


def _low_discrepancy(size: int) -> list[int]:
    """A permutation of range(size), every prefix of which is evenly spread."""
    target = GOLDEN * size
    step = min((n for n in range(1, size + 1) if math.gcd(n, size) == 1), key=lambda n: abs(n - target))
    return [index * step % size for index in range(size)]
