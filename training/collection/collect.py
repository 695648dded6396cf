"""Collection of demonstrations: episodes of an expert on the harness's workers, the successful ones kept.

A collection is a run (`nora-bench show` reads it) whose folder also contains `<task>_demo.hdf5` files. The plan fixes the
episodes: initial states in order, then again under the next seed. A failed episode is counted and not written, and the
next one of its task is tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...envs.base import EpisodeSpec, Suite, Task
from ...envs.errors import InputError
from ...harness.config import RunConfig, split_state
from ...harness.planning.plan import Plan, require_states
from ...harness.planning.resolve import ResolvedRun, resolve_run
from ...results.store.reader import read_episodes
from ...results.store.records import EpisodeRecord
from .demonstrator import Demonstrator, Learner, PerturbationConfig
from .writer import append

if TYPE_CHECKING:
    from rich.console import Console

    from ...harness.rendering.gl import Backend

TRAINING_STATES = tuple(range(35))
"""Initial states of demonstrations. 35-39 are for model selection, 40-49 for tests."""
ATTEMPTS = 3
"""Episodes tried per requested demonstration before a task is given up."""


@dataclass(frozen=True, slots=True)
class CollectConfig:
    """Settings of a collection."""

    run: RunConfig
    """Run of one suite; its policy is the expert."""
    episodes: int
    """Demonstrations per task."""
    perturbation: PerturbationConfig
    states: tuple[int | str, ...] = TRAINING_STATES
    """Initial states as in `RunConfig`, in the order of the attempts."""
    seed: int = 0
    """First seed; sets that are used together need different ones."""
    learner: Learner | None = None
    """Policy that acts before the expert; None: the expert acts from the start."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A resolved collection; nothing is written or started."""

    config: CollectConfig
    prepared: ResolvedRun
    demonstrator: Demonstrator

    @property
    def suite(self) -> Suite:
        """The suite."""
        return self.prepared.setup.suites[0]

    @property
    def tasks(self) -> list[Task]:
        """The tasks of the plan."""
        ids = {spec.task_id for spec in self.prepared.plan.episodes}
        return [task for task in self.suite.tasks if task.id in ids]

    @property
    def folder(self) -> Path:
        """Folder of the demonstrations."""
        return Path(str(self.config.run.out))

    def exists(self) -> bool:
        """Whether the folder contains a collection."""
        return (self.folder / "run.json").exists()

    def records(self) -> list[EpisodeRecord]:
        """Records of the finished episodes."""
        return [*read_episodes(self.folder).records.values()] if self.exists() else []

    def written(self, records: Sequence[EpisodeRecord]) -> Counter[int]:
        """Task id -> demonstrations: successful episodes, less those that ended before the takeover."""
        return Counter(r.task_id for r in records if r.success and self.is_demonstration(r.spec, r.steps))

    def is_demonstration(self, spec: EpisodeSpec, steps: int) -> bool:
        """Whether an episode of that many steps reached the takeover."""
        return steps > self.demonstrator.takeover(spec)

    def next_round(self) -> Plan:
        """The episodes to try next; empty once there are enough demonstrations or no attempts left."""
        records = self.records()
        return Plan(tuple(self._round({record.key for record in records}, self.written(records))), 0)

    def _round(self, finished: set[str], written: Mapping[int, int]) -> Iterator[EpisodeSpec]:
        for task in self.tasks:
            most = self.config.episodes * ATTEMPTS
            left = (spec for spec in islice(self.attempts(task), most) if spec.key not in finished)
            yield from islice(left, max(self.config.episodes - written[task.id], 0))

    def attempts(self, task: Task) -> Iterator[EpisodeSpec]:
        """The episodes of a task in the order of the attempts, without end."""
        for seed in count(self.config.seed):
            for init_set, state in map(split_state, self.config.states):
                yield EpisodeSpec(self.suite.name, task.id, state, seed, self.prepared.setup.protocol.name, init_set=init_set)


def resolve(config: CollectConfig) -> Collection:
    """Look up suite, expert, protocol and assets. Raises InputError, MissingRequirementError, PolicyError, SuiteError."""
    prepared = resolve_run(config.run)
    suites = prepared.setup.suites
    if len(suites) != 1:
        raise InputError("a collection needs exactly one suite; see `nora-bench list suites`")
    if not prepared.policy.observation_spec.privileged:
        raise InputError(
            f"--policy {config.run.policy} does not read privileged state, which a demonstration records", option="--policy"
        )
    for init_set, state in map(split_state, config.states):
        for task in suites[0].tasks:
            require_states(suites[0].name, task, init_set, [state])
    demonstrator = Demonstrator(prepared.policy, config.perturbation, config.learner)
    return Collection(config, replace(prepared, policy=demonstrator), demonstrator)


def check_states(states: Sequence[int | str], *, held_out: bool) -> None:
    """Raise InputError for initial states reserved for tests, unless `held_out`."""
    reserved = sorted(set(states) - set(TRAINING_STATES), key=split_state)
    if reserved and not held_out:
        raise InputError(
            f"--init-states: {', '.join(map(str, reserved))} are reserved for model selection (35-39) and tests (40-49, fresh); "
            "demonstrations use 0-34. To use them anyway, add --held-out",
            option="--init-states",
        )


def collect(collection: Collection, store: Any, gl: Backend, console: Console) -> dict[str, Any]:
    """Run rounds until every task has its demonstrations or no attempts left; the run's final `run.json`.

    Raises what `harness.lifecycle.run_session` raises; finished episodes are kept.
    """
    from ...harness.lifecycle import run_session

    while (plan := collection.next_round()).episodes:
        everything = Plan((*_specs(collection, store.keys()), *plan.episodes), 0)
        store.update_metadata(counts={**(store.metadata.counts or {}), "planned": len(everything.episodes)})
        run_session(
            replace(collection.prepared, plan=everything),
            store,
            gl,
            console,
            on_record=lambda r: _keep(collection, store.folder, r),
        )
    return store.metadata.to_json()


def _specs(collection: Collection, keys: set[str]) -> Iterator[EpisodeSpec]:
    """Specs of the finished episodes."""
    for task in collection.tasks:
        most = collection.config.episodes * ATTEMPTS
        yield from (spec for spec in islice(collection.attempts(task), most) if spec.key in keys)


def _keep(collection: Collection, folder: Path, record: Any) -> None:
    """Write a successful episode, unless it ended before the takeover."""
    if not record.success or not collection.is_demonstration(record.spec, record.steps):
        return
    facts = {
        "init_state": record.init_state,
        **({"init_set": record.init_set} if record.init_set else {}),
        "seed": record.seed,
        "protocol": record.protocol,
        "expert": record.policy,
        "noise": collection.config.perturbation.to_json(),
        "assets": dict(record.assets),
        **({"learner_steps": collection.demonstrator.takeover(record.spec)} if collection.config.learner else {}),
    }
    task = next(task for task in collection.suite.tasks if task.id == record.task_id)
    append(folder, collection.demonstrator.demonstration(record.key, record.suite, task, facts))
