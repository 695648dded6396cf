"""Success rates of grouped episodes, with the bounds that errors leave.

An episode that ended in an error could have ended either way. A rate over such episodes has two readings, with all of them
counted as failures and as successes; the truth lies between. The same holds for a success after the policy itself had lost the
episode before: it was another attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .grouping import Clusters, Group, Reading, clusters, component_columns, episodes, metric_outcome, task_weights, uncertain
from .layouts import Column, Layout
from .statistics.intervals import Estimand, Estimate, Stratum, strata_of, stratified

if TYPE_CHECKING:
    from .store.records import EpisodeRecord


def strata(group: Group, column: Column, metric: str, weight: float = 1.0, reading: Reading = "recorded") -> list[Stratum]:
    """One stratum per task and part; empty unless all kinds of task of the column were evaluated."""
    return list(task_strata(group, column, metric, weight, reading).values())


def task_strata(
    group: Group, column: Column, metric: str, weight: float = 1.0, reading: Reading = "recorded"
) -> dict[tuple[str, str], Stratum]:
    """(task, part) -> its stratum; empty unless all kinds of task of the column were evaluated."""
    tasks = clusters(group, column, metric, reading)
    same = group.repeats.get(column.suite, 0) > 0 and not group.noisy(column.suite)
    return {
        task: Stratum(weight * share, [(k, n) for k, n in tasks[task].values()], _available(group, column, tasks[task]), same)
        for task, share in task_weights(tasks, column).items()
    }


def _available(group: Group, column: Column, evaluated: Clusters) -> int | None:
    """Initial states that the benchmark has for a task; None if unknown, or if others were evaluated."""
    published = (
        column.states and not (group.key.init_set or group.key.perturbation) and set(evaluated) <= set(range(column.states))
    )
    return column.states if published else None


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in both readings of its uncertain episodes; equal without any."""

    low: Estimate
    """With all of them counted as failures."""
    high: Estimate
    """With all of them counted as successes."""
    uncertain: int
    """Episodes that ended in an error, or succeeded after the policy had lost them before."""

    @property
    def bounds(self) -> tuple[float, float]:
        """95 % bounds, valid however the uncertain episodes would have ended."""
        return self.low.low, self.high.high

    def to_json(self) -> dict[str, Any]:
        """JSON-able: the lower mean, `upper` the higher one, and bounds that hold however uncertain episodes ended."""
        low, high = self.bounds
        counted = {"k": self.low.k, "n": self.low.n, "effective": self.low.effective}
        return {"mean": self.low.mean, "low": low, "high": high, **counted, "upper": self.high.mean, "uncertain": self.uncertain}


def rate(group: Group, layout: Layout, column: Column, metric: str = "success", estimand: Estimand = "states") -> Rate | None:
    """The column's rate with its 95 % interval, for new initial states or the benchmark's own (`intervals.stratified`).

    None unless the column, and every column behind a mean, was evaluated.
    """
    evaluated = component_columns(layout, column, metric)
    doubtful = [part for part in evaluated if group.uncertain.get(part.suite)]
    n_uncertain = sum(uncertain(record) for part in doubtful for record in episodes(group, part))
    low = _estimate(group, evaluated, metric, "failures" if n_uncertain else "recorded", estimand)
    if low is None:
        return None
    high = _estimate(group, evaluated, metric, "successes", estimand) if n_uncertain else low
    return Rate(low, high or low, n_uncertain)


def _estimate(group: Group, evaluated: Sequence[Column], metric: str, reading: Reading, estimand: Estimand) -> Estimate | None:
    by_part = [strata(group, part, metric, 1 / len(evaluated), reading) for part in evaluated]
    return stratified([s for part in by_part for s in part], estimand=estimand) if all(by_part) else None


def rate_of(records: Sequence[EpisodeRecord], weights: Mapping[tuple[str, str], float]) -> Rate | None:
    """The success rate of any records; None without records.

    Args:
        records: episodes under equal conditions.
        weights: (task, part) -> its share in the rate; other records are omitted.
    """

    def read(reading: Reading) -> Estimate | None:
        outcomes = ((record, metric_outcome(record, "success", reading)) for record in records)
        known = (((r.task, r.part), r.init_state, value) for r, value in outcomes if value is not None)
        return stratified(strata_of(known, weights))

    n_uncertain = sum(map(uncertain, records))
    low = read("failures")
    high = read("successes") if n_uncertain else low
    return Rate(low, high, n_uncertain) if low and high else None


def task_samples(
    a: Group, b: Group, layout: Layout, column: Column, metric: str, how: tuple[Reading, Reading]
) -> list[tuple[Stratum, Stratum]]:
    """The column's samples of A and B per task, in one reading of uncertain episodes; empty unless both evaluated all of its
    components."""
    evaluated = component_columns(layout, column, metric)
    of_parts = [_of_part(a, b, part, metric, how, 1 / len(evaluated)) for part in evaluated]
    return [task for part in of_parts for task in part] if all(of_parts) else []


def _of_part(
    a: Group, b: Group, column: Column, metric: str, how: tuple[Reading, Reading], weight: float
) -> list[tuple[Stratum, Stratum]]:
    of_a, of_b = (task_strata(group, column, metric, reading=reading) for group, reading in zip((a, b), how, strict=True))
    shares = task_weights([task for task in of_a if task in of_b], column)
    return [
        (replace(of_a[task], weight=weight * share), replace(of_b[task], weight=weight * share)) for task, share in shares.items()
    ]
