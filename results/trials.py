"""Trials on a real robot, entered manually: checked, then stored as a run.

A trial becomes an episode record: the start position is its initial state, a repetition at the same position its seed.
Trials of two policies from equal start positions can therefore be compared in pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..envs.base import EpisodeSpec
from ..envs.errors import InputError, nearest
from . import layouts
from .csv_table import read_table
from .layouts import Column
from .store.reader import RUN_FILE
from .store.records import EpisodeRecord
from .store.run_metadata import RunMetadata
from .store.writer import Store

COLUMNS = ("task", "trial", "start", "success", "partial", "distractor")
"""Columns of the CSV file; `start`, `partial` and `distractor` are optional."""
REQUIRED = {"task", "trial", "success"}
TABLES = {"widowx": "nora/table1", "galaxea-a1": "nora15/table5"}
"""Suite of trials -> the table that lists its tasks."""
_WORDS = {"1": True, "true": True, "yes": True, "y": True, "0": False, "false": False, "no": False, "n": False}


class TrialError(InputError, ValueError):
    """Invalid trial; the message names line, column and value."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt of a policy at a task."""

    task: str
    trial: int
    """1, 2, … within the task."""
    start: int
    """Number of the start position, from 1; the trial's own number if positions were not recorded."""
    success: bool
    partial: bool | None = None
    """Whether the right object was grasped."""
    distractor: bool | None = None
    """Whether a wrong object was grasped."""


def tasks(suite: str) -> tuple[Column, ...]:
    """The suite's tasks in the paper's order. Raises TrialError for an unknown suite."""
    if suite not in TABLES:
        raise TrialError(f"unknown suite of trials {suite!r}{nearest(suite, TABLES)}. Known suites: {', '.join(TABLES)}")
    return tuple(task for task in layouts.get(TABLES[suite]).columns if task.suite)


def read(path: Path, suite: str) -> list[Trial]:
    """The trials of a CSV file, checked. Raises TrialError naming the line."""
    table = read_table(path, COLUMNS, REQUIRED, TrialError)
    found = []
    for number, values in table:
        try:
            found.append(parse(values, suite))
        except TrialError as error:
            raise TrialError(f"{path}, line {number}: {error}") from None
    check(found, str(path))
    return found


def parse(values: Mapping[str, str | None], suite: str) -> Trial:
    """One trial from its texts. Raises TrialError naming column and value."""
    task = _task(values.get("task") or "", suite)
    trial = _number("trial", values.get("trial"))
    start = _number("start", values["start"]) if values.get("start") else trial
    success = _yes("success", values.get("success"))
    if success is None:
        raise TrialError("success is empty; write 1 or 0")
    partial, distractor = _yes("partial", values.get("partial")), _yes("distractor", values.get("distractor"))
    if success and partial is False:
        raise TrialError("success 1 requires partial 1: an object that was placed was grasped")
    if distractor is not None and task.metrics and "distractor" not in task.metrics:
        raise TrialError(f"distractor must be empty: the task {task.name!r} has none")
    return Trial(task.name, trial, start, success, partial, distractor)


def _task(name: str, suite: str) -> Column:
    known = {task.name.casefold(): task for task in tasks(suite)}
    known |= {task.label.partition(":")[0].casefold(): task for task in tasks(suite) if ":" in task.label}
    found = known.get(name.strip().casefold())
    if found is None:
        names = [task.name for task in tasks(suite)]
        raise TrialError(f"unknown task {name!r}{nearest(name, names)}; {suite} has: {'; '.join(names)}")
    return found


def _number(column: str, text: str | None) -> int:
    value = (text or "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < 1:
        raise TrialError(f"{column} is {value!r}; write a number from 1")
    return int(value)


def _yes(column: str, text: str | None) -> bool | None:
    value = (text or "").strip().casefold()
    if value == "":
        return None
    if value not in _WORDS:
        raise TrialError(f"{column} is {value!r}; write 1 or 0")
    return _WORDS[value]


def check(trials: Sequence[Trial], source: str) -> None:
    """Check the trials together. Raises TrialError for an empty list and for duplicates."""
    if not trials:
        raise TrialError(f"{source} contains no trials")
    seen: set[tuple[str, int]] = set()
    for one in trials:
        if (one.task, one.trial) in seen:
            raise TrialError(f"{source}: {one.task!r} has trial {one.trial} twice")
        seen.add((one.task, one.trial))


def gaps(trials: Iterable[Trial], suite: str, expected: int = 10) -> Iterator[str]:
    """Tasks with fewer trials than the paper's, or none, one line each."""
    counted: dict[str, int] = {}
    for one in trials:
        counted[one.task] = counted.get(one.task, 0) + 1
    for task in tasks(suite):
        if counted.get(task.name, 0) < expected:
            yield f"{task.name}: {counted.get(task.name, 0)} of the paper's {expected} trials"


def records(trials: Iterable[Trial], suite: str, policy: str) -> Iterator[EpisodeRecord]:
    """The trials as episodes."""
    ids = {task.name: number for number, task in enumerate(tasks(suite))}
    repeats: dict[tuple[str, int], int] = {}
    for one in trials:
        seed = repeats.get((one.task, one.start), 0)
        repeats[one.task, one.start] = seed + 1
        yield record(one, ids[one.task], seed, suite, policy)


def record(trial: Trial, task_id: int, seed: int, suite: str, policy: str) -> EpisodeRecord:
    """One trial as an episode; `seed` counts repetitions at the same start position."""
    spec = EpisodeSpec(suite, task_id, trial.start - 1, seed, f"real/{suite}")
    measures = {"partial": trial.partial, "distractor": trial.distractor}
    return EpisodeRecord(
        key=spec.key,
        suite=suite,
        task=trial.task,
        task_id=task_id,
        instruction=trial.task.partition(" [")[0],
        init_state=spec.init_state,
        seed=seed,
        protocol=spec.protocol,
        policy=policy,
        success=trial.success,
        measures={name: value for name, value in measures.items() if value is not None},
        steps=0,
        decisions=0,
        termination="success" if trial.success else "budget",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def metadata(suite: str, policy: str) -> RunMetadata:
    """`run.json` of a run of trials."""
    return RunMetadata(
        status="running",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        suites=[suite],
        protocol={"name": f"real/{suite}", "source": "trials on the robot, entered by hand"},
        policy={"name": policy, "marks": []},
    )


def open_store(folder: Path, suite: str, policy: str) -> Store:
    """The run of trials in that folder, created where it is missing. Raises StoreError."""
    if (folder / RUN_FILE).exists():
        return Store.open(folder)
    return Store.create(folder, metadata(suite, policy))


def store(folder: Path, trials: Iterable[Trial], suite: str, policy: str) -> None:
    """Write the trials as a new, finished run. Raises StoreError if the folder contains a run."""
    with Store.create(folder, metadata(suite, policy)) as run:
        for episode in records(trials, suite, policy):
            run.append(episode)
        finish(run)


def finish(store: Store) -> None:
    """Mark a run of trials as finished, with its counts."""
    done = len(store.keys())
    store.update_metadata(
        status="finished",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        counts={"planned": done, "done": done, "errors": 0},
    )
