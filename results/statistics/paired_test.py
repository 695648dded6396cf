"""Paired comparison of two policies by initial state: exact test and interval of the mean difference.

The test is exact (`exact`). The interval is Bonett and Price's (Brit. J. Math. Stat. Psychol. 65, 2012) with tasks as strata:
unlike a bootstrap it keeps its level where few episodes flip, and has a width where none does.

`pairing` defines an initial state's difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from .exact import State, exact_p
from .weighted_mean import quantile

ADDED = 2.0
"""Pseudo-observations of Bonett and Price: one initial state gained and one lost."""


@dataclass(frozen=True, slots=True)
class TaskDifferences:
    """One task, or part of one, of both runs."""

    weight: float
    """Share of the task in the mean."""
    states: Sequence[State]

    @property
    def differences(self) -> list[Fraction]:
        """One per initial state."""
        return [state.difference for state in self.states]


@dataclass(frozen=True, slots=True)
class Difference:
    """B's success rate minus A's; fractions. With uncertain episodes, valid however they ended."""

    mean: float
    """With uncertain episodes: the possible value nearest to zero."""
    low: float
    high: float
    p: float
    """Two-sided, exact, not corrected."""
    pairs: int
    """Initial states, each counted once per common appearance."""
    gained: int
    """Initial states in which B did better."""
    lost: int
    """Initial states in which A did better."""
    scenes_needed: int | None
    """Initial states that would settle a difference of this size (80 % power at the level); None if it is zero."""
    scenes: int
    """Number of initial states."""
    means: tuple[float, float]
    """Least and largest possible mean; equal without uncertain episodes."""


def difference(tasks: Sequence[TaskDifferences], level: float = 0.95) -> Difference:
    """The paired difference with its interval and exact p-value.

    Args:
        tasks: at least one, each with at least one initial state.
        level: of the interval, and of the verdict that `scenes_needed` is for.
    """
    values = [task.differences for task in tasks]
    rates = [(task.weight, np.array([float(d) for d in own])) for task, own in zip(tasks, values, strict=True)]
    mean, low, high, variance = mean_difference(rates, level)
    signs = [(d > 0) - (d < 0) for own in values for d in own]
    return Difference(
        mean=mean,
        low=low,
        high=high,
        p=exact_p([(task.weight, task.states) for task in tasks]),
        pairs=sum(len(state.appearances) for task in tasks for state in task.states),
        gained=signs.count(1),
        lost=signs.count(-1),
        scenes_needed=scenes_needed(mean, max(variance, abs(mean) - mean**2), level),
        scenes=len(signs),
        means=(mean, mean),
    )


def over_both_readings(low: Difference, high: Difference) -> Difference:
    """The difference that holds in both readings of uncertain episodes.

    Args:
        low: with B's uncertain episodes counted as failures and A's as successes.
        high: the reverse.
    """
    if low is high:
        return low
    same = low.mean * high.mean > 0
    nearest = low if low.mean > 0 else high
    return Difference(
        mean=nearest.mean if same else 0.0,
        low=low.low,
        high=high.high,
        p=max(low.p, high.p) if same else 1.0,
        pairs=nearest.pairs,
        gained=low.gained,
        lost=high.lost,
        scenes_needed=nearest.scenes_needed if same else None,
        scenes=nearest.scenes,
        means=(low.mean, high.mean),
    )


def mean_difference(tasks: Sequence[tuple[float, np.ndarray]], level: float = 0.95) -> tuple[float, float, float, float]:
    """Mean over tasks, its bounds, and the variance that one initial state contributes.

    Args:
        tasks: weight of each and [initial states], difference of each, in [-1, 1].
        level: of the bounds, two-sided.
    """
    total = math.fsum(weight for weight, _ in tasks)
    shared = [(weight / total, own) for weight, own in tasks]
    n = sum(len(own) for _, own in shared)
    mean = math.fsum(share * float(own.mean()) for share, own in shared)
    variance = n * _variance(shared)
    middle, arm = mean * n / (n + 2), quantile(level) * math.sqrt(n * variance + ADDED) / (n + 2)
    return mean, max(-1.0, min(mean, middle - arm)), min(1.0, max(mean, middle + arm)), variance


def _variance(tasks: Sequence[tuple[float, np.ndarray]]) -> float:
    """Variance of the weighted mean; a task of one initial state takes the pooled spread."""
    pooled = float(np.mean(np.concatenate([own for _, own in tasks]) ** 2))
    return math.fsum(share**2 * (float(np.var(own, ddof=1)) if len(own) > 1 else pooled) / len(own) for share, own in tasks)


def scenes_needed(mean: float, variance_of_one: float, level: float) -> int | None:
    """Initial states that would settle a mean difference of this size (80 % power at the level); None if it is zero.

    `variance_of_one`: what one initial state contributes.
    """
    if abs(mean) < 1e-12:
        return None
    power = quantile(level) + quantile(0.60)  # the latter is the one-sided quantile of 80 %
    return math.ceil(power**2 * variance_of_one / mean**2)


def p_text(p: float) -> str:
    """`p = 0.012`, or `p < 0.0001`."""
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, Scand. J. Statist. 6, 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def simultaneous(count: int, level: float = 0.95) -> float:
    """Level of each of so many intervals at which all of them hold together with probability `level` (Bonferroni)."""
    return 1 - (1 - level) / count


def align_with_test(found: Difference, *, settled: bool) -> Difference:
    """The difference with its interval brought in line with the verdict of Holm's test, which is the more powerful of the two.

    Where the test has settled the sign, an interval that reaches over zero ends there; where it has not, one that leaves zero
    out is extended to it.
    """
    if not settled:
        return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))
    return replace(found, low=max(found.low, 0.0)) if found.mean > 0 else replace(found, high=min(found.high, 0.0))
