"""Grouping of a run's records into the episodes behind a table cell.

Conditions that change a score (policy, protocol, asset pack) are never mixed: a run with two packs gives two groups.
Every seed of every scene counts. Episodes that repeat a trajectory under another seed add no information on their initial state,
which `statistics.intervals` takes into account; omitting them would change the weights of the states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .layouts import Column, Layout

if TYPE_CHECKING:
    from .store.reader import StoredRun
    from .store.records import EpisodeRecord

Reading = Literal["recorded", "failures", "successes"]
"""Treatment of uncertain episodes: omitted where they have no outcome, counted as failures, or as successes."""


@dataclass(frozen=True, slots=True)
class GroupKey:
    """Conditions that episodes of one table cell share."""

    policy: str
    protocol: str
    pack: str
    """Name of the asset pack; empty where none was used."""
    fingerprint: str
    backend: str = ""
    """Simulator backend, for suites with several."""
    renderer: str = ""
    """Renderer, where this run rendered one task with several; else empty."""
    init_set: str = ""
    """Set of the initial states: empty for the published one."""
    perturbation: str = ""


Clusters = dict[int, list[int]]
"""Initial state -> [successes, episodes]."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Episodes of one run under equal conditions."""

    run: StoredRun
    key: GroupKey
    records: Sequence[EpisodeRecord]
    """All of its episodes."""
    suites: Mapping[str, Sequence[EpisodeRecord]]
    """Suite -> its episodes, errors included."""
    repeats: Mapping[str, int]
    """Suite -> episodes that repeat a trajectory under another seed."""
    uncertain: Mapping[str, int]
    """Suite -> episodes whose outcome is uncertain."""
    counted: dict[tuple[Column, str, Reading], dict[tuple[str, str], Clusters]] = field(default_factory=dict)
    """Cache of `clusters`: the means of a table use their columns again."""

    def noisy(self, suite: str) -> bool:
        """Whether some scene of the suite had two trajectories under two seeds, or lacks the hashes to tell."""
        ways: dict[tuple[object, ...], set[str | None]] = {}
        for record in self.suites.get(suite, ()):
            ways.setdefault(record.scene, set()).add(record.trajectory_sha256)
        return any(len(found) > 1 or None in found for found in ways.values())

    def errors(self, suites: Iterable[str]) -> dict[str, int]:
        """Cause -> episodes of those suites that ended in an error."""
        found = Counter(cause(r) for suite in suites for r in self.suites.get(suite, ()) if r.success is None)
        return dict(sorted(found.items()))


def groups(run: StoredRun) -> tuple[Group, ...]:
    """The run's episodes by their conditions, in order of first appearance."""
    by_key: dict[GroupKey, list[EpisodeRecord]] = {}
    known: dict[tuple[str, ...], GroupKey] = {}
    mixed = _mixed_renderers(run.records)
    for record in run.records:
        pack = record.assets
        head = (record.policy, record.protocol, pack.get("pack", ""), pack.get("fingerprint", ""), record.backend)
        renderers = mixed.get((record.suite, record.task_id), ("",))
        # An episode without an outcome has no renderer: it is missing from every renderer of its task.
        for renderer in renderers if record.success is None else (record.renderer if any(renderers) else "",):
            names = (*head, renderer, record.init_set, record.perturbation)
            key = known.get(names) or known.setdefault(names, GroupKey(*names))
            by_key.setdefault(key, []).append(record)
    return tuple(group_of(run, key, records) for key, records in by_key.items())


def _mixed_renderers(records: Iterable[EpisodeRecord]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Tasks rendered with several renderers -> the renderers; errors have none."""
    ways: dict[tuple[str, int], dict[str, None]] = {}
    for record in records:
        if record.success is not None:
            ways.setdefault((record.suite, record.task_id), {})[record.renderer] = None
    return {task: tuple(found) for task, found in ways.items() if len(found) > 1}


def by_suite(records: Iterable[EpisodeRecord]) -> dict[str, list[EpisodeRecord]]:
    """Records by suite, in order of first appearance."""
    suites: dict[str, list[EpisodeRecord]] = {}
    for record in records:
        suites.setdefault(record.suite, []).append(record)
    return suites


def group_of(run: StoredRun, key: GroupKey, records: Sequence[EpisodeRecord]) -> Group:
    """Some of a run's episodes as a group."""
    repeats: Counter[str] = Counter()
    seen: set[tuple[object, ...]] = set()
    for record in records:
        if record.success is not None and record.trajectory_sha256:
            trial = (*record.scene, record.trajectory_sha256)
            repeats[record.suite] += trial in seen
            seen.add(trial)
    suites = by_suite(records)
    return Group(run, key, records, suites, repeats, {suite: sum(map(uncertain, own)) for suite, own in suites.items()})


def cause(record: EpisodeRecord) -> str:
    """Cause of an episode's error: `policy` or `machine` (the default for records of earlier versions)."""
    return record.cause or "machine"


def uncertain(record: EpisodeRecord) -> bool:
    """Whether an episode could have ended either way: an error, or a success after the policy had lost it before."""
    return record.success is None or (record.success and record.policy_losses > 0)


def metric_outcome(record: EpisodeRecord, metric: str, reading: Reading = "recorded") -> bool | None:
    """Whether the metric's event happened, in one reading of uncertain episodes; None where it was not recorded."""
    if reading != "recorded" and uncertain(record):
        return reading == "successes"
    return record.success if metric == "success" else record.measures.get(metric)


def in_column(record: EpisodeRecord, column: Column) -> bool:
    """Whether an episode belongs to a column."""
    return record.suite == column.suite and (not column.tasks or record.task.startswith(column.tasks))


def episodes(group: Group, column: Column) -> list[EpisodeRecord]:
    """The group's episodes in a column."""
    return [record for record in group.suites.get(column.suite, ()) if in_column(record, column)]


def whole_tasks(group: Group, column: Column) -> bool:
    """Whether every task of the column was evaluated, in whatever initial states."""
    return len({record.task for record in episodes(group, column)}) == column.task_count


def clusters(group: Group, column: Column, metric: str, reading: Reading) -> dict[tuple[str, str], Clusters]:
    """(task, part) -> outcomes by initial state, pooled over appearance variants and seeds."""
    if (column, metric, reading) in group.counted:
        return group.counted[column, metric, reading]
    found = group.counted.setdefault((column, metric, reading), {})
    for record in group.suites.get(column.suite, ()):
        value = metric_outcome(record, metric, reading) if in_column(record, column) else None
        if value is not None:
            cell = found.setdefault((record.task, record.part), {}).setdefault(record.init_state, [0, 0])
            cell[0] += value
            cell[1] += 1
    return found


def task_weights(tasks: Iterable[tuple[str, str]], column: Column) -> dict[tuple[str, str], float]:
    """Weight of each (task, part) in the column's rate: its kinds of task weigh equally, and so do the tasks of a kind and
    the parts of a task.

    Empty if a kind was not evaluated.
    """
    kinds = [[task for task in tasks if task[0].startswith(kind)] for kind in column.tasks or ("",)]
    if not all(kinds):
        return {}
    found = {}
    for kind in kinds:
        parts = Counter(name for name, _ in kind)
        found |= {task: 1 / len(kinds) / len(parts) / parts[task[0]] for task in kind}
    return found


def component_columns(layout: Layout, column: Column, metric: str) -> list[Column]:
    """The measured columns behind a column, for one metric."""
    metrics = {m.name: m for m in layout.metrics}
    return [part for part in layout.components(column) if layout.has(part, metrics[metric])]
