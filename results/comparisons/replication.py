"""Measured rates against a paper's: does a published number hold?

Rules, the first that applies: a rate is *equivalent* where the 95 % interval of the difference lies within the margin; it
*agrees* where each rate lies in the other's 95 % interval; it is *lower* or *higher* where the interval of the difference
excludes 0; else it is *undecided*. Agreement without equivalence means that the episodes of both sides decide no finer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal

from ..statistics.intervals import clopper_pearson

Verdict = Literal["equivalent", "agrees", "lower", "higher", "undecided"]
MARGIN = 0.02
"""Largest difference of rates that counts as equivalent."""


@dataclass(frozen=True, slots=True)
class RateInterval:
    """A success rate with its 95 % bounds; shares."""

    rate: float
    low: float
    high: float
    n: float
    """Episodes behind it, of equal information."""


@dataclass(frozen=True, slots=True)
class Replication:
    """A measured rate against a published one; shares."""

    published: RateInterval
    measured: RateInterval
    difference: float
    """Measured minus published."""
    low: float
    high: float
    verdict: Verdict


def published_rate(rate: float, n: int) -> RateInterval:
    """A printed rate, whose episodes the paper does not list: the interval of `n` independent episodes (Clopper and Pearson)."""
    low, high = clopper_pearson(round(rate * n), n)
    return RateInterval(rate, min(low, rate), max(high, rate), n)


def mean_rate(rates: Sequence[RateInterval]) -> RateInterval:
    """The mean of independent rates with equal weights (a paper's average over suites)."""
    import numpy as np

    from ..statistics.weighted_mean import limits

    values, sizes = np.array([[one.rate for one in rates]]), np.array([[one.n for one in rates]], float)
    weights = np.full(len(rates), 1 / len(rates))
    low, high = limits(values, sizes, weights, 0.95)
    return RateInterval(float(values[0] @ weights), float(low[0]), float(high[0]), float(sizes.sum()))


def replication(published: RateInterval, measured: RateInterval, margin: float = MARGIN) -> Replication:
    """The verdict. The difference's interval is Newcombe's, from both sides' own (Statistics in Medicine 17, 1998, method 10)."""
    difference = measured.rate - published.rate
    low = difference - hypot(measured.rate - measured.low, published.high - published.rate)
    high = difference + hypot(measured.high - measured.rate, published.rate - published.low)
    return Replication(published, measured, difference, low, high, _verdict(published, measured, low, high, margin))


def _verdict(published: RateInterval, measured: RateInterval, low: float, high: float, margin: float) -> Verdict:
    if -margin <= low and high <= margin:
        return "equivalent"
    if measured.low <= published.rate <= measured.high and published.low <= measured.rate <= published.high:
        return "agrees"
    return "lower" if high < 0 else "higher" if low > 0 else "undecided"
