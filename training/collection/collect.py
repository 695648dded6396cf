"""Collecting demonstrations: episodes of an expert on the harness's own workers, the successful ones kept.

A collection is a run like any other (`nora-bench show` reads it) whose folder also holds `<task>_demo.hdf5` files. Which
episodes are tried is fixed by the plan: initial states in order, then again under the next seed. An episode that fails
is counted and not written, and the next of its task is tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...envs.base import EpisodeSpec, Suite, Task
from ...harness.config import RunConfig
from ...harness.errors import InputError
from ...harness.planning.plan import Plan
from ...harness.planning.resolve import ResolvedRun, resolve_run
from ...policies.recordings import read_records
from ..data.demonstrations import append
from .demonstrator import Demonstrator, Learner
from .perturbation import Noise

if TYPE_CHECKING:
    from rich.console import Console

    from ...harness.rendering.gl import Backend

TRAINING_STATES = tuple(range(35))
"""Initial states that demonstrations may start from. 35-39 choose between models, 40-49 test them."""
SCENE = ("suite", "task_id", "init_state", "seed", "protocol")
"""Fields of a record that say which episode it is of."""
ATTEMPTS = 3
"""Episodes tried per demonstration wanted before a task is given up."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be collected."""

    config: RunConfig
    """Of one suite; its policy is the expert."""
    episodes: int
    """Demonstrations per task."""
    noise: Noise
    states: tuple[int, ...] = TRAINING_STATES
    """Initial states, in the order in which they are tried."""
    seed: int = 0
    """First seed; a set that is to lie beside another takes seeds that the other has not."""
    learner: Learner | None = None
    """Who begins the episodes; None: the expert."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with every name looked up; nothing has been written or started."""

    wanted: Wanted
    prepared: ResolvedRun
    demonstrator: Demonstrator

    @property
    def suite(self) -> Suite:
        """The suite that is played."""
        return self.prepared.setup.suites[0]

    @property
    def tasks(self) -> list[Task]:
        """The tasks that are played."""
        ids = {spec.task_id for spec in self.prepared.plan.episodes}
        return [task for task in self.suite.tasks if task.id in ids]

    @property
    def folder(self) -> Path:
        """Where the demonstrations go."""
        return Path(str(self.wanted.config.out))

    def begun(self) -> bool:
        """Whether the folder holds a collection already."""
        return (self.folder / "run.json").exists()

    def over(self) -> list[Mapping[str, Any]]:
        """Records of the episodes that are over."""
        return [*read_records(self.folder)] if self.begun() else []

    def written(self, over: Sequence[Mapping[str, Any]]) -> Counter[int]:
        """Task id -> demonstrations: the episodes of those records that succeeded, less those that a learner won alone."""
        won = [(EpisodeSpec(*(record[field] for field in SCENE)), record["steps"]) for record in over if record["success"]]
        return Counter(spec.task_id for spec, steps in won if self.shows(spec, steps))

    def shows(self, spec: EpisodeSpec, steps: int) -> bool:
        """Whether the expert had a part in an episode of so many steps."""
        return steps > self.demonstrator.takeover(spec)

    def next_round(self) -> Plan:
        """The episodes to try next; empty when there are enough demonstrations, or nothing more to try."""
        over = self.over()
        return Plan(tuple(self._round({record["key"] for record in over}, self.written(over))), 0)

    def _round(self, over: set[str], written: Mapping[int, int]) -> Iterator[EpisodeSpec]:
        for task in self.tasks:
            most = self.wanted.episodes * ATTEMPTS
            left = (spec for spec in islice(self.attempts(task), most) if spec.key not in over)
            yield from islice(left, max(self.wanted.episodes - written[task.id], 0))

    def attempts(self, task: Task) -> Iterator[EpisodeSpec]:
        """The episodes of a task in the order in which they are tried, without end."""
        for seed in count(self.wanted.seed):
            for state in self.wanted.states:
                yield EpisodeSpec(self.suite.name, task.id, state, seed, self.prepared.setup.protocol.name)


def look_up(wanted: Wanted) -> Collection:
    """Look suite, expert, protocol and assets up. Raises InputError, MissingRequirementError, PolicyError, SuiteError."""
    prepared = resolve_run(wanted.config)
    if len(prepared.setup.suites) > 1:
        raise InputError("a collection is of one suite; see `nora-bench list suites`")
    if not prepared.policy.observation_spec.privileged:
        raise InputError(f"--policy {wanted.config.policy} does not look at the simulator's state, which a demonstration keeps")
    demonstrator = Demonstrator(prepared.policy, wanted.noise, wanted.learner)
    return Collection(wanted, replace(prepared, policy=demonstrator), demonstrator)


def check_states(states: Sequence[int], *, held_out: bool) -> None:
    """Raises InputError for initial states that demonstrations must keep away from, unless `held_out` says they may."""
    reserved = sorted(set(states) - set(TRAINING_STATES))
    if reserved and not held_out:
        raise InputError(
            f"--init-states: {', '.join(map(str, reserved))} are kept for choosing (35-39) and testing (40-49) models; "
            "demonstrations start from 0-34. To use them all the same, add --held-out"
        )


def collect(collection: Collection, store: Any, gl: Backend, console: Console) -> dict[str, Any]:
    """Play rounds until every task has its demonstrations, or was tried often enough; the run's `run.json` afterwards.

    Raises what `harness.lifecycle.run_session` raises; what had finished is kept.
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
    """The episodes that are over, as specs."""
    for task in collection.tasks:
        most = collection.wanted.episodes * ATTEMPTS
        yield from (spec for spec in islice(collection.attempts(task), most) if spec.key in keys)


def _keep(collection: Collection, folder: Path, record: Any) -> None:
    """Write a successful episode down, if the expert had a part in it."""
    if not record.success or not collection.shows(record.spec, record.steps):
        return
    facts = {
        "init_state": record.init_state,
        "seed": record.seed,
        "protocol": record.protocol,
        "expert": record.policy,
        "noise": asdict(collection.wanted.noise),
        "assets": dict(record.assets),
        **({"learner_steps": collection.demonstrator.takeover(record.spec)} if collection.wanted.learner else {}),
    }
    task = next(task for task in collection.suite.tasks if task.id == record.task_id)
    append(folder, collection.demonstrator.demonstration(record.key, record.suite, task, facts))
