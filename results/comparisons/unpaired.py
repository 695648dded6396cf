"""Two runs without a common initial state, as independent samples of each task: published against fresh states, or two ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..coverage import part_label, shortfall
from ..grouping import Group, Reading, cause, component_columns, group_of, task_weights
from ..layouts import Column, Layout
from ..rates import task_strata
from ..statistics.paired_test import Difference, over_both_readings
from ..statistics.unpaired_test import TaskSamples, unpaired_difference
from ..store.records import EpisodeRecord
from .pairing import AGAINST_A, AGAINST_B, RECORDED, uncertain_episodes


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


def sample_readings(a: Group, b: Group, layout: Layout, column: Column, metric: str) -> list[list[TaskSamples]]:
    """The column's samples per task, in both readings of uncertain episodes (see `comparison.readings`)."""
    any_uncertain = any(uncertain_episodes(group, layout, column, metric) for group in (a, b))
    return [_samples(a, b, layout, column, metric, how) for how in ((AGAINST_B, AGAINST_A) if any_uncertain else (RECORDED,))]


def _samples(a: Group, b: Group, layout: Layout, column: Column, metric: str, how: tuple[Reading, Reading]) -> list[TaskSamples]:
    """Empty unless both evaluated all of the column's components."""
    played = component_columns(layout, column, metric)
    of_parts = [_of_part(a, b, part, metric, how, 1 / len(played)) for part in played]
    return [task for part in of_parts for task in part] if all(of_parts) else []


def _of_part(a: Group, b: Group, column: Column, metric: str, how: tuple[Reading, Reading], weight: float) -> list[TaskSamples]:
    of_a, of_b = (task_strata(group, column, metric, reading=reading) for group, reading in zip((a, b), how, strict=True))
    shares = task_weights([task for task in of_a if task in of_b], column)
    return [
        TaskSamples(replace(of_a[task], weight=weight * share), replace(of_b[task], weight=weight * share))
        for task, share in shares.items()
    ]


def compared_parts(layout: Layout, column: Column, metric: str, groups: Sequence[Group]) -> str:
    """The part of the column behind each rate, `A: 10 of 50 initial states, B: fresh initial states 0-9`."""
    labels = [
        part_label([shortfall(group, one) for one in component_columns(layout, column, metric)]) or "all" for group in groups
    ]
    return ", ".join(f"{name}: {label}" for name, label in zip("AB", labels, strict=True))


def causes(own: Sequence[EpisodeRecord]) -> dict[str, int]:
    """Counts of uncertain episodes by cause."""
    return dict(Counter("replayed" if record.success else cause(record) for record in own))


def worst_unpaired_difference(found: Sequence[Sequence[TaskSamples]], level: float = 0.95) -> Difference:
    """The difference that holds in all readings."""
    each = [unpaired_difference(tasks, level) for tasks in found]
    return over_both_readings(each[0], each[-1])
