"""Episodes of another tool, checked and stored as a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...envs import protocols, suites
from ...envs.base import EpisodeSpec, Task
from ...envs.errors import InputError, nearest
from ...envs.safe_io import file_digest, is_name
from ...results.store.records import UNKEYED, EpisodeRecord, now
from ...results.store.run_metadata import IMPORTED, RunMetadata
from ...results.store.writer import Store

LARGEST_NUMBER = 1 << 31
"""Largest index or count that is accepted."""


class ResultsError(InputError, ValueError):
    """A file that is not what it should be; the message names file, place and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEpisode:
    """One episode as another tool describes it."""

    task: str
    """Its name, its instruction, or its number within the suite."""
    success: bool | None
    """None where it ended in an error."""
    suite: str = ""
    error: str = ""
    cause: str = ""
    """`policy` or `machine` where known."""
    variant: str = ""
    init_set: str = ""
    init_state: int | None = None
    """Index of the initial state; None where the source does not name it."""
    seed: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Wall time in total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The contents of a file of results."""

    path: Path
    tool: str
    episodes: tuple[ForeignEpisode, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What it says on its evaluation, JSON-able: versions, configuration."""
    created: str = ""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """An imported run."""

    folder: str
    tool: str
    episodes: int
    successes: int
    errors: int
    keyed: bool
    """Whether all initial states are known: such episodes are compared in pairs."""


def store_run(source: Source, folder: Path, *, policy: str, suite: str = "", protocol: str = "") -> ImportResult:
    """Store the episodes as a new, finished run.

    Args:
        source: the episodes.
        folder: the run's folder.
        policy: name of the evaluated policy.
        suite: the suite, where the file does not name it or names it otherwise.
        protocol: the protocol that the evaluation followed, which nobody can check; empty: not known.

    Raises ResultsError, UnknownName for episodes that cannot be stored; StoreError if the folder contains a run.
    """
    if not policy or any(ord(letter) < 32 for letter in policy):
        raise InputError("--policy is missing. Add --policy NAME, the policy that was evaluated", option="--policy", value=policy)
    rules = protocols.get(protocol).to_json() if protocol else {"name": f"imported/{source.tool}", "source": source.tool}
    digest = file_digest(source.path)
    found = list(records(source, digest, policy=policy, suite=suite, protocol=str(rules["name"])))
    if not found:
        raise ResultsError(f"{source.path} contains no episodes")
    with Store.create(folder, _metadata(source, digest, found, rules, policy)) as store:
        for record in found:
            store.append(record)
    return ImportResult(
        folder=str(folder),
        tool=source.tool,
        episodes=len(found),
        successes=sum(bool(record.success) for record in found),
        errors=sum(record.success is None for record in found),
        keyed=all(record.keyed for record in found),
    )


def _metadata(source: Source, digest: str, found: Sequence[EpisodeRecord], rules: Mapping[str, Any], policy: str) -> RunMetadata:
    names = list(dict.fromkeys(record.suite for record in found))
    errors = sum(record.success is None for record in found)
    return RunMetadata(
        status="finished",
        created=source.created or now(),
        finished=now(),
        suites=names,
        config={"suite": names, "max_steps": None},
        protocol=dict(rules),  # type: ignore[typeddict-item]
        policy={"name": policy, "marks": [IMPORTED]},
        counts={"planned": len(found), "done": len(found), "errors": errors},
        imported={
            "tool": source.tool,
            "file": source.path.name,
            "sha256": digest,
            "replayable": False,
            "keyed": all(record.keyed for record in found),
            "facts": dict(source.facts),
        },
    )


def records(source: Source, digest: str, *, policy: str, suite: str, protocol: str) -> Iterable[EpisodeRecord]:
    """The episodes as records, in their order. `digest`: of the file; episodes without a known scene are named after it."""
    tasks = _Tasks(source.path)
    numbers: dict[tuple[str, int], int] = {}
    seen: dict[str, int] = {}
    for place, episode in enumerate(source.episodes):
        name = suite or episode.suite
        _check(source.path, place, name, episode)
        task = tasks.find(name, episode.task, place)
        init_set, state = episode.init_set, episode.init_state
        if state is None:
            init_set, state = f"{UNKEYED}-{digest[:8]}-", numbers.get((name, task.id), 0)
            numbers[name, task.id] = state + 1
        spec = EpisodeSpec(name, task.id, state, episode.seed, protocol, episode.variant, init_set)
        if spec.key in seen:
            raise ResultsError(f"{source.path}: episodes {seen[spec.key] + 1} and {place + 1} are both {spec.key}")
        seen[spec.key] = place
        yield _record(spec, task, episode, policy)


def _check(path: Path, place: int, suite: str, episode: ForeignEpisode) -> None:
    where = f"{path}, episode {place + 1}"
    if not suite:
        raise ResultsError(f"{where}: the file does not name its suite. Add --suite NAME; names: nora-bench list suites")
    if not is_name(suite):
        raise ResultsError(f"{where}: {suite[:80]!r} is not the name of a suite. Add --suite NAME")
    for name in ("variant", "init_set"):
        if any(not is_name(part) for part in getattr(episode, name).split("/") if getattr(episode, name)):
            raise ResultsError(f"{where}: {name} is {getattr(episode, name)[:80]!r}; expected a name")
    for name in ("init_state", "seed", "steps"):
        value = getattr(episode, name)
        if value is not None and not 0 <= value < LARGEST_NUMBER:
            raise ResultsError(f"{where}: {name} is {str(value)[:40]}; expected a number from 0")


class _Tasks:
    """Tasks by what a file calls them; those of a suite that nora-bench does not have are numbered as they appear."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Task] | None] = {}
        self._others: dict[str, dict[str, Task]] = {}

    def find(self, suite: str, text: str, place: int) -> Task:
        """The task. Raises ResultsError for one that the suite does not have."""
        if suite not in self._known:
            self._known[suite] = _names(suites.get(suite).tasks) if suite in suites.names() else None
        known = self._known[suite]
        if known is None:
            others = self._others.setdefault(suite, {})
            number = len(others)
            return others.setdefault(text, Task(number, text, text, 0, False))
        task = known.get(_plain(text))
        if task is None:
            names = list(dict.fromkeys(task.name for task in known.values()))
            raise ResultsError(
                f"{self._path}, episode {place + 1}: {suite} has no task {text[:120]!r}{nearest(text[:120], names)}. "
                f"Names: nora-bench list tasks --suite {suite}"
            )
        return task


def _names(tasks: Iterable[Task]) -> dict[str, Task]:
    tasks = tuple(tasks)
    named = {_plain(str(task.id)): task for task in tasks}
    return {**named, **{_plain(task.instruction): task for task in tasks}, **{_plain(task.name): task for task in tasks}}


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").split())


def _record(spec: EpisodeSpec, task: Task, episode: ForeignEpisode, policy: str) -> EpisodeRecord:
    ended = "error" if episode.success is None else "success" if episode.success else "budget"
    return EpisodeRecord(
        key=spec.key,
        suite=spec.suite,
        task=task.name,
        task_id=task.id,
        variant=spec.variant,
        instruction=task.instruction,
        init_state=spec.init_state,
        init_set=spec.init_set,
        seed=spec.seed,
        protocol=spec.protocol,
        policy=policy,
        success=episode.success,
        steps=episode.steps,
        decisions=0,
        termination=ended,
        error=(episode.error or "unknown") if episode.success is None else None,
        cause=episode.cause if episode.success is None else "",
        seconds={"total": episode.seconds} if episode.seconds else {},
    )
