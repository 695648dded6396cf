"""From a run's records to what a table cell is made of: episodes played under equal conditions, each counted once.

Conditions that change a score (policy, protocol, asset pack) are never mixed: a run that met two packs gives two
groups. Episodes that ended in an error are counted apart and are in no rate. Where policy and world are
deterministic, another seed repeats the same trajectory; such repetitions are set aside and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .layouts import Item, Layout
from .reading import Run
from .records import EpisodeRecord
from .stats import Estimate, Stratum, stratified


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be equal for episodes to stand in one cell."""

    policy: str
    protocol: str
    pack: str
    """Name of the asset pack; empty where none was used."""
    fingerprint: str
    backend: str = ""
    """What played, for suites that several simulators can play."""
    renderer: str = ""
    """How pictures were made, where this run made those of one task in several ways; else empty."""


Clusters = dict[int, list[int]]
"""Initial state -> [successes, episodes]."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The episodes of one run under one set of conditions."""

    run: Run
    conditions: Conditions
    records: Sequence[EpisodeRecord]
    """All of its episodes, errors and repetitions too."""
    suites: Mapping[str, Sequence[EpisodeRecord]]
    """Suite -> episodes that count: finished without error, repetitions left out."""
    errors: Mapping[str, int]
    """Suite -> episodes that ended in an error."""
    repeats: Mapping[str, int]
    """Suite -> episodes left out because they repeat a trajectory under another seed."""
    counted: dict[tuple[Item, str], dict[tuple[str, str], Clusters]] = field(default_factory=dict)
    """What `clusters` has already counted: the means of a table ask for their parts again."""


def groups(run: Run) -> tuple[Group, ...]:
    """The run's episodes by conditions, in the order in which the conditions were met."""
    sorted_out: dict[Conditions, list[EpisodeRecord]] = {}
    known: dict[tuple[str, ...], Conditions] = {}
    mixed = _drawn_in_several_ways(run.records)
    for record in run.records:
        pack = record.assets
        renderer = record.renderer if (record.suite, record.task_id) in mixed else ""
        key = (record.policy, record.protocol, pack.get("pack", ""), pack.get("fingerprint", ""), record.backend, renderer)
        conditions = known.get(key) or known.setdefault(key, Conditions(*key))
        sorted_out.setdefault(conditions, []).append(record)
    return tuple(_group(run, conditions, records) for conditions, records in sorted_out.items())


def _drawn_in_several_ways(records: Iterable[EpisodeRecord]) -> set[tuple[str, int]]:
    """Tasks whose pictures were not all made in one way; errors have none."""
    ways: dict[tuple[str, int], set[str]] = {}
    for record in records:
        if record.success is not None:
            ways.setdefault((record.suite, record.task_id), set()).add(record.renderer)
    return {task for task, found in ways.items() if len(found) > 1}


def _group(run: Run, conditions: Conditions, records: Sequence[EpisodeRecord]) -> Group:
    counted: dict[str, list[EpisodeRecord]] = {}
    errors: Counter[str] = Counter()
    repeats: Counter[str] = Counter()
    seen: set[tuple[object, ...]] = set()
    for record in records:
        if record.success is None:
            errors[record.suite] += 1
            continue
        if record.trajectory_sha256:
            scene = (record.suite, record.task_id, record.variant, record.init_state, record.trajectory_sha256)
            if scene in seen:
                repeats[record.suite] += 1
                continue
            seen.add(scene)
        counted.setdefault(record.suite, []).append(record)
    return Group(run, conditions, records, counted, errors, repeats)


def outcome(record: EpisodeRecord, metric: str) -> bool | None:
    """Whether the metric's event happened; None where the episode does not say."""
    return record.success if metric == "success" else record.measures.get(metric)


def belongs(record: EpisodeRecord, item: Item) -> bool:
    """Whether an item is measured on that episode."""
    return record.suite == item.suite and (not item.tasks or record.task.startswith(item.tasks))


def clusters(group: Group, item: Item, metric: str) -> dict[tuple[str, str], Clusters]:
    """(task, part of it) -> initial states with their outcomes, all looks together."""
    if (item, metric) in group.counted:
        return group.counted[item, metric]
    found = group.counted.setdefault((item, metric), {})
    for record in group.suites.get(item.suite, ()):
        value = outcome(record, metric) if belongs(record, item) else None
        if value is not None:
            cell = found.setdefault((record.task, record.part), {}).setdefault(record.init_state, [0, 0])
            cell[0] += value
            cell[1] += 1
    return found


def scenes(group: Group, item: Item) -> int:
    """Different episodes played of an item, whatever their seeds."""
    played = (record for record in group.suites.get(item.suite, ()) if belongs(record, item))
    return len({(record.task, record.variant, record.init_state) for record in played})


def shares(tasks: Iterable[tuple[str, str]], item: Item) -> dict[tuple[str, str], float]:
    """Weight of each (task, part) in the item's rate: its kinds of task weigh equally, and so do the parts of a kind.

    Empty where a kind was not played.
    """
    kinds = [[task for task in tasks if task[0].startswith(kind)] for kind in item.tasks or ("",)]
    return {task: 1 / len(kinds) / len(kind) for kind in kinds for task in kind} if all(kinds) else {}


def strata(group: Group, item: Item, metric: str, weight: float = 1.0) -> list[Stratum]:
    """One stratum per task and part; empty where the item was not played, or only in part of its kinds of task."""
    tasks = clusters(group, item, metric)
    return [Stratum(weight * share, [(k, n) for k, n in tasks[task].values()]) for task, share in shares(tasks, item).items()]


def parts(layout: Layout, item: Item, metric: str) -> list[Item]:
    """The played items behind an item, for one metric."""
    metrics = {m.name: m for m in layout.metrics}
    return [part for part in layout.parts(item) if layout.has(part, metrics[metric])]


def estimate(group: Group, layout: Layout, item: Item, metric: str = "success") -> Estimate | None:
    """The item's rate with its exact 95 % interval; None where it, or a part of it, was not played."""
    played = parts(layout, item, metric)
    by_part = [strata(group, part, metric, 1 / len(played)) for part in played]
    return stratified([s for part in by_part for s in part]) if all(by_part) else None
