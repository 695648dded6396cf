"""From a run's records to what a table cell is made of: episodes played under equal conditions, each counted once.

Conditions that change a score (policy, protocol, asset pack) are never mixed: a run that met two packs gives two
groups. Episodes that ended in an error are counted apart and are in no rate. Where policy and world are
deterministic, another seed repeats the same trajectory; such repetitions are set aside and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .layouts import Item, Layout
from .reading import Run
from .records import EpisodeRecord
from .stats import Estimate, Stratum, clopper_pearson, stratified


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be equal for episodes to stand in one cell."""

    policy: str
    protocol: str
    pack: str
    """Name of the asset pack; empty where none was used."""
    fingerprint: str


Clusters = dict[int, list[int]]
"""Initial state -> [successes, episodes]."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The episodes of one run under one set of conditions."""

    run: Run
    conditions: Conditions
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
    known: dict[tuple[str, str, str, str], Conditions] = {}
    for record in run.records:
        pack = record.assets
        key = (record.policy, record.protocol, pack.get("pack", ""), pack.get("fingerprint", ""))
        conditions = known.get(key) or known.setdefault(key, Conditions(*key))
        sorted_out.setdefault(conditions, []).append(record)
    return tuple(_group(run, conditions, records) for conditions, records in sorted_out.items())


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
    return Group(run, conditions, counted, errors, repeats)


def outcome(record: EpisodeRecord, metric: str) -> bool | None:
    """Whether the metric's event happened; None where the episode does not say."""
    return record.success if metric == "success" else record.measures.get(metric)


def select(group: Group, item: Item) -> Iterator[EpisodeRecord]:
    """The episodes that an item is measured on."""
    for record in group.suites.get(item.suite, ()):
        if not item.tasks or record.task.startswith(item.tasks):
            yield record


def clusters(group: Group, item: Item, metric: str) -> dict[tuple[str, str], Clusters]:
    """(task, variant) -> initial states with their outcomes."""
    if (item, metric) in group.counted:
        return group.counted[item, metric]
    found = group.counted.setdefault((item, metric), {})
    for record in select(group, item):
        value = outcome(record, metric)
        if value is not None:
            cell = found.setdefault((record.task, record.variant), {}).setdefault(record.init_state, [0, 0])
            cell[0] += value
            cell[1] += 1
    return found


def strata(group: Group, item: Item, metric: str, weight: float = 1.0) -> list[Stratum]:
    """One stratum per task and variant; the item's kinds of task weigh equally, and so do the tasks of a kind."""
    tasks = clusters(group, item, metric)
    kinds = {kind: [t for t in tasks if t[0].startswith(kind)] for kind in item.tasks or ("",)}
    return [
        Stratum(weight / len(kinds) / len(of_kind), [(k, n) for k, n in tasks[task].values()])
        for of_kind in kinds.values()
        for task in of_kind
    ]


def estimate(
    group: Group,
    layout: Layout,
    item: Item,
    metric: str = "success",
    interval: Callable[[float, float, float], tuple[float, float]] = clopper_pearson,
) -> Estimate | None:
    """The item's rate with its 95 % interval; None where an episode of it, or of a part of it, is missing."""
    metrics = {m.name: m for m in layout.metrics}
    parts = [part for part in layout.parts(item) if layout.has(part, metrics[metric])]
    by_part = [strata(group, part, metric, 1 / len(parts)) for part in parts]
    if not all(by_part):
        return None
    return stratified([s for part in by_part for s in part], interval=interval)
