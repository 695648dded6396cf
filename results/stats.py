"""Intervals for success rates: pure functions on integers.

A rate over several tasks is the mean of the tasks' rates, so its uncertainty has three sources of structure that a
pooled k/n ignores: tasks weigh equally however many episodes each has; episodes that share an initial state (its
seeds) are alike; and the same episode played twice by a deterministic policy is one observation. `stratified` takes
the first two into account, `Tally` (outcomes.py) the third.

Why no bootstrap for a rate: at 95 to 100 % success, where policies are on LIBERO, resampling never draws the failures
that were not seen, and its intervals are too narrow (at k = n they have no width at all). The exact interval at an
effective sample size (Korn & Graubard, Survey Methodology 24, 1998) keeps its level there and needs no random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist


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
    """Independent episodes that would say as much."""
    clusters: int
    """Initial states behind it."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The episodes of one task."""

    weight: float
    """Share of the task in the mean."""
    clusters: Sequence[tuple[int, int]]
    """(successes, episodes) of each initial state."""


def quantile(level: float) -> float:
    """Standard normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Score interval of k successes in n trials (Wilson, JASA 22, 1927). Takes fractional counts; (0, 1) for n = 0."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    z2 = quantile(level) ** 2
    middle = (k + z2 / 2) / (n + z2)
    arm = math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return (0.0 if k == 0 else middle - arm), (1.0 if k == n else middle + arm)


def clopper_pearson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Exact interval: covers at least `level` whatever the rate (Clopper & Pearson, Biometrika 26, 1934).

    Takes fractional counts; (0, 1) for n = 0.
    """
    from scipy.special import betaincinv

    if not 0 <= k <= n:
        raise ValueError(f"{k} successes of {n}")
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return low, high


def stratified(
    strata: Iterable[Stratum],
    level: float = 0.95,
    interval: Callable[[float, float, float], tuple[float, float]] = clopper_pearson,
) -> Estimate | None:
    """Weighted mean of the strata's rates with its interval; None where no episode counts.

    Strata without episodes drop out and the rest share their weight. The interval is taken at the effective sample
    size: Kish's for unequal numbers per task, divided by the design effect of initial states, never more than the
    number of episodes.
    """
    filled = [s for s in strata if any(n for _, n in s.clusters)]
    if not filled:
        return None
    k = sum(k for s in filled for k, _ in s.clusters)
    n = sum(n for s in filled for _, n in s.clusters)
    total = sum(s.weight for s in filled)
    shares = [s.weight / total for s in filled]
    mean = float(k == n) if k in (0, n) else math.fsum(w * _rate(s) for w, s in zip(shares, filled, strict=True))
    kish = 1 / math.fsum(w * w / sum(n for _, n in s.clusters) for w, s in zip(shares, filled, strict=True))
    effective = kish / _design_effect(shares, filled)
    low, high = interval(mean * effective, effective, level)
    return Estimate(mean, min(low, mean), max(high, mean), k, n, effective, sum(len(s.clusters) for s in filled))


def _rate(stratum: Stratum) -> float:
    return sum(k for k, _ in stratum.clusters) / sum(n for _, n in stratum.clusters)


def _design_effect(shares: Sequence[float], strata: Sequence[Stratum]) -> float:
    """Variance with initial states as the unit over that with episodes as the unit; at least 1.

    Where nothing varies (all successes, all failures) or too few initial states were played to tell, the episodes of
    an initial state are taken for copies of each other.
    """
    episodes = sum(n for s in strata for _, n in s.clusters)
    clusters = sum(len(s.clusters) for s in strata)
    if episodes == clusters:
        return 1.0
    copies = episodes / clusters
    between = within = 0.0
    degrees = 0
    for share, stratum in zip(shares, strata, strict=True):
        m, rate = len(stratum.clusters), _rate(stratum)
        size = sum(n for _, n in stratum.clusters)
        if m < 2:
            continue
        spread = sum((k - n * rate) ** 2 for k, n in stratum.clusters) / size**2
        between += share**2 * spread * m / (m - 1)
        within += share**2 * rate * (1 - rate) / size
        degrees += m - 1
    if degrees < 10 or within == 0:
        return copies
    return min(copies, max(1.0, between / within))
