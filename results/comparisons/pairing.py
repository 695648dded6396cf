"""Pairing of runs by initial state: the states that all of them evaluated, and the differences per state.

An initial state's difference is the mean over B's seeds minus the mean over A's, averaged over the appearance variants of
both. A run with one seed is thus compared with all three of another, and each initial state is one observation regardless of its
number of episodes. Episodes in scenes of only one run are omitted and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..grouping import (
    Group,
    GroupKey,
    Reading,
    cause,
    component_columns,
    episodes,
    group_of,
    metric_outcome,
    task_weights,
    uncertain,
)
from ..layouts import Column, Layout
from ..statistics.exact import State
from ..statistics.paired_test import TaskDifferences
from ..store.reader import StoredRun
from ..store.records import EpisodeRecord

Scene = tuple[str, str, str, str, int, str]
"""Suite, task, variant, set and index of the initial state, perturbation: the same under every seed."""
Appearances = dict[str, tuple[int, int]]
"""Appearance -> successes, episodes."""
RECORDED: tuple[Reading, Reading] = ("recorded", "recorded")
AGAINST_B: tuple[Reading, Reading] = ("successes", "failures")
"""Readings of uncertain episodes of A and of B that are least favourable to B."""
AGAINST_A: tuple[Reading, Reading] = ("failures", "successes")


@dataclass(frozen=True, slots=True)
class EpisodePair:
    """One episode that both runs have, under the same seed."""

    a: EpisodeRecord
    b: EpisodeRecord
    difference: int
    """1 if only B succeeded, -1 if only A did, 0 if both ended alike."""

    @property
    def winner(self) -> str:
        """`a` or `b`: the run that succeeded where the other failed."""
        return "b" if self.difference > 0 else "a"


def whole_run(run: StoredRun, perturbation: str = "") -> Group:
    """All episodes of a run under one perturbation, by default those without any, as one group regardless of other conditions."""
    records = [record for record in run.records if record.perturbation == perturbation]
    first = records[0] if records else None
    names = (first.policy, first.protocol, "", "", "", "", first.init_set, first.perturbation) if first else ("",) * 4
    return group_of(run, GroupKey(*names), records)


def common_scenes(groups: Sequence[Group]) -> list[Group]:
    """Each group's episodes in the scenes that all of them have, errors included."""
    shared = set.intersection(*({record.scene for record in group.records} for group in groups))
    return [group_of(group.run, group.key, [r for r in group.records if r.scene in shared]) for group in groups]


def task_differences(
    a: Group, b: Group, layout: Layout, column: Column, metric: str, readings: tuple[Reading, Reading] = RECORDED
) -> list[TaskDifferences]:
    """Differences per task, whose weighted mean is the column's; empty unless both evaluated all of its columns."""
    parts = component_columns(layout, column, metric)
    found = [_of_part(a, b, part, metric, readings, 1 / len(parts)) for part in parts]
    return [task for part in found for task in part] if all(found) else []


def _of_part(
    a: Group, b: Group, column: Column, metric: str, readings: tuple[Reading, Reading], weight: float
) -> list[TaskDifferences]:
    of_a, of_b = _appearances(a, column, metric, readings[0]), _appearances(b, column, metric, readings[1])
    states = {task: _states(of_a[task], of_b[task]) for task in of_a if task in of_b}
    states = {task: own for task, own in states.items() if own}
    return [TaskDifferences(weight * share, states[task]) for task, share in task_weights(states, column).items()]


def _appearances(group: Group, column: Column, metric: str, reading: Reading) -> dict[tuple[str, str], dict[int, Appearances]]:
    """(task, part) -> initial state -> appearance -> outcomes."""
    found: dict[tuple[str, str], dict[int, Appearances]] = {}
    for record in episodes(group, column):
        value = metric_outcome(record, metric, reading)
        if value is not None:
            appearances = found.setdefault((record.task, record.part), {}).setdefault(record.init_state, {})
            k, n = appearances.get(record.appearance, (0, 0))
            appearances[record.appearance] = (k + value, n + 1)
    return found


def _states(a: Mapping[int, Appearances], b: Mapping[int, Appearances]) -> list[State]:
    """Initial states of both, with the appearances of both."""
    both = (
        tuple((*a[state][appearance], *b[state][appearance]) for appearance in a[state] if appearance in b[state])
        for state in sorted(a.keys() & b.keys())
    )
    return [State(appearances) for appearances in both if appearances]


def uncertain_episodes(group: Group, layout: Layout, column: Column, metric: str) -> list[EpisodeRecord]:
    """The column's episodes that could have ended either way."""
    return [record for part in component_columns(layout, column, metric) for record in episodes(group, part) if uncertain(record)]


def uncertain_causes(own: Sequence[EpisodeRecord], others: Group, metric: str) -> dict[str, int]:
    """Counts of uncertain episodes of one run: by cause (`machine`, `policy`; `replayed` are successes after the policy had
    lost the episode before), and by the other run's outcome in the same scenes (`other_succeeded`, `other_failed`, `other_open`).

    If the other run lacks the seed, the majority of its seeds decides. Empty without uncertain episodes.
    """
    if not own:
        return {}
    ends: dict[Scene, dict[int, bool | None]] = {}
    for record in others.records:
        ends.setdefault(record.scene, {})[record.seed] = None if uncertain(record) else metric_outcome(record, metric)
    counted = Counter(all_causes(own))
    counted.update(f"other_{_ended(ends.get(record.scene, {}), record.seed)}" for record in own)
    return dict(counted)


def _ended(seeds: Mapping[int, bool | None], seed: int) -> str:
    known = [value for value in ([seeds[seed]] if seed in seeds else seeds.values()) if value is not None]
    return "open" if not known else "succeeded" if 2 * sum(known) > len(known) else "failed"


def flips(a: Group, b: Group, layout: Layout, column: Column, metric: str) -> tuple[EpisodePair, ...]:
    """Episodes of the column that ended differently under the same seed."""
    found = []
    for part in component_columns(layout, column, metric):
        of_b = {(record.scene, record.seed): record for record in episodes(b, part)}
        for record in episodes(a, part):
            other = of_b.get((record.scene, record.seed))
            ended = (metric_outcome(record, metric), metric_outcome(other, metric) if other else None)
            if other and None not in ended and ended[0] != ended[1]:
                found.append(EpisodePair(record, other, 1 if ended[1] else -1))
    return tuple(found)


def left_out(all_: Group, kept: Group, layout: Layout, column: Column, metric: str) -> int:
    """Number of the column's episodes that only this run has."""
    return sum(len(episodes(all_, part)) - len(episodes(kept, part)) for part in component_columns(layout, column, metric))


def all_causes(own: Sequence[EpisodeRecord]) -> dict[str, int]:
    """Counts of the uncertain episodes of two independent samples by cause."""
    return dict(Counter("replayed" if record.success else cause(record) for record in own))


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
