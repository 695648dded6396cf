"""Intervals for success rates: pure functions on counts.

A rate over several tasks is the mean of the tasks' rates, so its uncertainty has structure that a pooled k/n ignores:
tasks weigh equally however many episodes each has; their rates differ, and a mean over tasks at 0 and at 100 % is known
better than a rate of 50 %; episodes that share an initial state (its seeds, the appearances of a scene) are alike. `stratified`
takes all of it into account, and is what every command shows, for one task too.

Why no bootstrap for a rate: at 95 to 100 % success, where policies are on LIBERO, resampling never draws the failures
that were not seen, and its intervals are too narrow (at k = n they have no width at all).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .weighted_mean import Array

Estimand = Literal["states", "benchmark"]
"""Population of a rate: initial states of the same kind, or exactly those that the benchmark has."""
PSEUDO_STATE = 0.25
"""Initial states whose episodes all agree (or all differ), added to those whose likeness is measured."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A success rate with its interval; fractions, not percent."""

    mean: float
    low: float
    high: float
    k: int
    """Successes."""
    n: int
    """Episodes that count."""
    effective: float
    """Independent episodes of one task with that rate that would say as much; infinite where nothing is left to chance."""
    clusters: int
    """Initial states behind it."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The episodes of one task."""

    weight: float
    """Share of the task in the mean."""
    clusters: Sequence[tuple[int, int]]
    """(successes, episodes) of each initial state."""
    states: int | None = None
    """Initial states that the benchmark has for it; None where that is not known."""
    deterministic: bool = False
    """Whether an initial state ends the same way whatever the seed."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the initial states of each task that an interval needs, each [results, tasks]."""

    succeeded: Array
    evaluated: Array
    states: Array
    squares: Array
    """Sum of the states' squared numbers of episodes."""
    agreement: Array
    """Sum over states of successes squared by episodes: as large as `succeeded` where the episodes of a state all agree."""


def clopper_pearson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Exact interval: covers at least `level` whatever the rate (Clopper & Pearson, Biometrika 26, 1934).

    Takes fractional counts; (0, 1) for n = 0.
    """
    import numpy as np

    from .weighted_mean import limits

    if not 0 <= k <= n:
        raise ValueError(f"{k} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    low, high = limits(np.array([[k / n]]), np.array([[n]], float), np.ones(1), level)
    return float(low[0]), float(high[0])


def strata_of(outcomes: Iterable[tuple[Hashable, int, bool]], weights: Mapping[Any, float]) -> list[Stratum]:
    """One stratum per task, its episodes gathered by initial state.

    Args:
        outcomes: (task, initial state, success) of each episode; those of tasks without a weight are left out.
        weights: task -> its share in the rate.
    """
    tasks: dict[Hashable, dict[int, list[int]]] = {task: {} for task in weights}
    for task, state, succeeded in outcomes:
        if task in tasks:
            cell = tasks[task].setdefault(state, [0, 0])
            cell[0] += succeeded
            cell[1] += 1
    return [Stratum(weights[task], [(k, n) for k, n in states.values()]) for task, states in tasks.items()]


def stratified(strata: Iterable[Stratum], level: float = 0.95, *, estimand: Estimand = "states") -> Estimate | None:
    """Weighted mean of the strata's rates with its interval; None where no episode counts.

    Strata without episodes drop out and the rest share their weight. Each stratum counts as many independent episodes as
    its initial states are worth (`effective_sizes`); the interval is that of a weighted mean of such rates
    (`weighted_mean.limits`), the exact one where there is one stratum.

    `estimand` "states" takes the initial states for a sample of others like them. "benchmark" asks for the rate on exactly
    the states that the benchmark has, so that of a stratum whose `states` were all evaluated only the policy's own noise is
    left; strata that do not say how many there are count as under "states". Raises ValueError where more states were
    evaluated than there are.
    """
    import numpy as np

    from .weighted_mean import limits

    filled = [s for s in strata if any(n for _, n in s.clusters)]
    if not filled:
        return None
    sums = _sums(filled)
    seen = np.array([_seen(s) if estimand == "benchmark" else 0.0 for s in filled])
    sizes = effective_sizes(sums, seen, np.array([s.deterministic for s in filled]))
    total = math.fsum(s.weight for s in filled)
    weights = np.array([s.weight / total for s in filled])
    rates = sums.succeeded / sums.evaluated
    k, n = int(sums.succeeded.sum()), int(sums.evaluated.sum())
    mean = float(k == n) if k in (0, n) else math.fsum((weights * rates[0]).tolist())
    below, above = limits(rates, sizes, weights, level)
    low, high = max(0.0, min(float(below[0]), mean)), min(1.0, max(float(above[0]), mean))
    states = int(sums.states.sum())
    return Estimate(mean, low, high, k, n, _effective(mean, rates, sizes, weights), states)


def _seen(stratum: Stratum) -> float:
    """Share of the benchmark's initial states that were evaluated; 0 where it is not known how many there are."""
    evaluated = sum(n > 0 for _, n in stratum.clusters)
    if stratum.states is None:
        return 0.0
    if evaluated > stratum.states:
        raise ValueError(f"{evaluated} initial states were evaluated of a task that has {stratum.states}")
    return evaluated / stratum.states


def _sums(strata: Sequence[Stratum]) -> Sums:
    import numpy as np

    found = []
    for stratum in strata:
        clusters = np.array([pair for pair in stratum.clusters if pair[1]], float)
        k, n = clusters[:, 0], clusters[:, 1]
        found.append((k.sum(), n.sum(), len(n), (n * n).sum(), (k * k / n).sum()))
    return Sums(*(np.array([column]) for column in zip(*found, strict=True)))


def effective_sizes(sums: Sums, seen: Array, deterministic: Array) -> Array:
    """Independent episodes [results, tasks] that say as much about each task's rate; infinite where it is known.

    With n episodes of each of m states and likeness r (the correlation of two episodes of a state) the variance of a
    task's rate is p(1 - p) (1 + (n - 1) r - f n r) / (m n), where f is the share `seen` of the benchmark's states: the
    two-stage formula (1 - f) between / m + f within / (m n) (Cochran, Sampling Techniques, 1977, chapter 10) with
    between and within written in p and r.

    Args:
        sums: of the states.
        seen: [tasks] share of the states in question that were evaluated; 0 for a population without end.
        deterministic: [tasks] whether episodes of a state are copies.
    """
    import numpy as np

    high, low = _likeness(sums)
    factor = sums.squares * (1 - seen) - sums.evaluated
    alike = np.where(deterministic, 1.0, np.where(factor > 0, high[:, None], low[:, None]))
    design = sums.evaluated + factor * alike
    known = design < 1e-9 * sums.evaluated
    return np.where(known, np.inf, sums.evaluated**2 / np.where(known, 1, design))


def _likeness(sums: Sums) -> tuple[Array, Array]:
    """Correlation of two episodes of one state, [results], from the tasks that repeat states: too high and too low a value.

    The analysis-of-variance estimator (Donner, Int. Stat. Rev. 54, 1986), one value for all tasks. A fraction of a state
    whose episodes all agree, or all differ, keeps it away from 0 or 1 where few outcomes vary; without any it is 1 or 0.
    """
    import numpy as np

    succeeded, evaluated, states = sums.succeeded, sums.evaluated, sums.states
    counts = (states > 1) & (evaluated > states)
    freedom = np.where(counts, states - 1, 1)
    size = (evaluated - sums.squares / evaluated) / freedom
    between = (sums.agreement - succeeded**2 / evaluated) / freedom
    within = (succeeded - sums.agreement) / np.where(counts, evaluated - states, 1)
    apart = np.where(counts, freedom * (between - within), 0).sum(1)
    whole = np.where(counts, freedom * (between + (size - 1) * within), 0).sum(1)
    added = PSEUDO_STATE * np.where(counts, evaluated, 0).sum(1) / np.maximum(np.where(counts, states, 0).sum(1), 1)
    added = np.where(added > 0, added, 1)
    return np.clip((apart + added) / (whole + added), 0, 1), np.clip(apart / (whole + added), 0, 1)


def _effective(mean: float, rates: Array, sizes: Array, weights: Array) -> float:
    """p(1 - p) over the variance of the mean, as survey statistics has it (Korn & Graubard, Survey Methodology 24, 1998)."""
    from .weighted_mean import smoothed

    spread = weights**2 / sizes[0]
    if not spread.any():
        return math.inf
    if rates.shape[1] > 1 and 0 < mean < 1:
        succeeded, trials = smoothed(rates, sizes, weights)
        chance = succeeded / trials if sizes.max() < math.inf else rates
        spread = spread * (chance * (1 - chance))[0] / (mean * (1 - mean))
    total = float(spread.sum())
    return 1 / total if total else math.inf
