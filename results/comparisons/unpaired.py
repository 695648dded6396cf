"""Two runs without a common initial state, as independent samples of each task: published against fresh states, or two ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..grouping import Group, Reading, cause, component_columns, group_of, task_weights
from ..layouts import Column, Layout
from ..rates import task_strata
from ..statistics.intervals import Stratum
from ..store.records import EpisodeRecord


def common_tasks(groups: Sequence[Group]) -> list[Group]:
    """Each group's episodes in the tasks (and parts) that all of them have; none if any initial state is in several groups, since
    samples that share some are not independent."""
    if set.intersection(*({_state(record) for record in group.records} for group in groups)):
        return [group_of(group.run, group.key, []) for group in groups]
    shared = set.intersection(*({_task(record) for record in group.records} for group in groups))
    return [group_of(group.run, group.key, [r for r in group.records if _task(r) in shared]) for group in groups]


def _task(record: EpisodeRecord) -> tuple[str, str, str]:
    return record.suite, record.task, record.part


def _state(record: EpisodeRecord) -> tuple[str, str, str, str, int]:
    return *_task(record), record.init_set, record.init_state


def task_samples(
    a: Group, b: Group, layout: Layout, column: Column, metric: str, how: tuple[Reading, Reading]
) -> list[tuple[Stratum, Stratum]]:
    """The column's samples of A and B per task, in one reading of uncertain episodes; empty unless both evaluated all of its
    components."""
    played = component_columns(layout, column, metric)
    of_parts = [_of_part(a, b, part, metric, how, 1 / len(played)) for part in played]
    return [task for part in of_parts for task in part] if all(of_parts) else []


def _of_part(
    a: Group, b: Group, column: Column, metric: str, how: tuple[Reading, Reading], weight: float
) -> list[tuple[Stratum, Stratum]]:
    of_a, of_b = (task_strata(group, column, metric, reading=reading) for group, reading in zip((a, b), how, strict=True))
    shares = task_weights([task for task in of_a if task in of_b], column)
    return [
        (replace(of_a[task], weight=weight * share), replace(of_b[task], weight=weight * share)) for task, share in shares.items()
    ]


def causes(own: Sequence[EpisodeRecord]) -> dict[str, int]:
    """Counts of uncertain episodes by cause."""
    return dict(Counter("replayed" if record.success else cause(record) for record in own))
