"""Limits of a weighted mean of success rates that were estimated apart, each from its own number of trials.

Two approximations, of which the wider counts on each side, since each is too narrow where the other is not:

- A value of the mean is outside if a result as far away as the observed one has less than half of 1 - level chance under
  it. That chance depends on each rate, and many sets of rates have the same mean: the most likely one is taken (a profile
  likelihood, with a fraction of a pseudo-trial per rate so that no rate is taken for exactly 0 or 1). Its chance is
  Lugannani & Rice's saddlepoint approximation (Adv. Appl. Prob. 12, 1980) in Barndorff-Nielsen's form (Biometrika 73,
  1986), with the correction for lattices (Daniels, Int. Stat. Rev. 55, 1987), and exact where every trial succeeded.
- Clopper and Pearson's interval at an effective number of trials, p(1 - p) over the variance of the mean (Korn & Graubard,
  Survey Methodology 24, 1998). It holds where one trial of one rate weighs more than many of another (a saddlepoint is
  blind to such gaps), and fails where every trial succeeded in unequal numbers.

With equal rates, weights and sizes both are Clopper and Pearson's interval of the pooled trials to three digits; with one
rate they are that interval.

All functions work on many results at once: `rates` and `sizes` are [results, rates], `weights` is [rates].
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PSEUDO_TRIALS = 0.25
"""Trials at the overall rate that are added to those of each rate; a rate of less than four trials gets more, up to 1."""
TOLERANCE = 1e-4
"""Tolerance of a limit, in standard normal units of its tail."""


def quantile(level: float) -> float:
    """Standard normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def limits(rates: Array, sizes: Array, weights: Array, level: float) -> tuple[Array, Array]:
    """Lower and upper limit [results] of the mean of rates.

    Args:
        rates: observed, each in [0, 1].
        sizes: trials behind each, above 0; need not be whole, and are infinite (in every result) for a rate that is known.
        weights: above 0, with sum 1.
    """
    known = np.isinf(sizes[0])
    if known.all():
        return rates @ weights, rates @ weights
    if known.any():
        share, rest = weights[~known].sum(), rates[:, known] @ weights[known]
        low, high = limits(rates[:, ~known], sizes[:, ~known], weights[~known] / share, level)
        return rest + share * low, rest + share * high
    if rates.shape[1] == 1:
        return _clopper_pearson(rates[:, 0], sizes[:, 0], level)
    low, high = _lower(rates, sizes, weights, level), 1 - _lower(1 - rates, sizes, weights, level)
    below, above = _matched(rates, sizes, weights, level)
    return np.minimum(low, below), np.maximum(high, above)


def _matched(rates: Array, sizes: Array, weights: Array, level: float) -> tuple[Array, Array]:
    """Clopper and Pearson's interval at an effective size, p(1 - p) over the variance; only the mean where nothing varied."""
    mean = np.clip(rates @ weights, 0, 1)
    succeeded, trials = smoothed(rates, sizes, weights)
    variance = (weights**2 / sizes * (succeeded / trials) * (1 - succeeded / trials)).sum(1)
    varied = (rates > 0).any(1) & (rates < 1).any(1)
    low, high = _clopper_pearson(mean, np.where(varied, mean * (1 - mean) / variance, 1), level)
    return np.where(varied, low, mean), np.where(varied, high, mean)


def _clopper_pearson(rates: Array, sizes: Array, level: float) -> tuple[Array, Array]:
    from scipy.special import betaincinv

    tail, succeeded, lost = (1 - level) / 2, rates * sizes, (1 - rates) * sizes
    low = np.where(succeeded > 0, betaincinv(np.where(succeeded > 0, succeeded, 1), lost + 1, tail), 0.0)
    return low, np.where(lost > 0, betaincinv(succeeded + 1, np.where(lost > 0, lost, 1), 1 - tail), 1.0)


def smoothed(rates: Array, sizes: Array, weights: Array) -> tuple[Array, Array]:
    """Successes and trials with the pseudo-trials added, [results, rates]."""
    mean = rates @ weights
    trials = 1 / (weights**2 / sizes).sum(1)
    overall = (mean * trials + 0.5) / (trials + 1)
    added = np.maximum(PSEUDO_TRIALS, 1 / np.maximum(sizes, 1))
    return sizes * rates + added * overall[:, None], sizes + added


def _lower(rates: Array, sizes: Array, weights: Array, level: float) -> Array:
    tail, z = (1 - level) / 2, quantile(level)
    mean = rates @ weights
    succeeded, trials = smoothed(rates, sizes, weights)
    step = np.minimum(_step(succeeded / trials, sizes, weights), np.maximum(mean, 1e-12))
    all_succeeded = (rates == 1).all(1)
    observed = np.clip(mean - step / 2, 1e-12, 1 - 1e-12)

    def likeliest(pull: Array) -> Array:
        """Most likely rates, the lower the harder the mean is pulled down (its Lagrange multiplier is exp(pull))."""
        pulled = np.exp(pull)[:, None] * weights
        b = trials + pulled
        return 2 * succeeded / (b + np.sqrt(np.maximum(b * b - 4 * pulled * succeeded, 0)))

    def unlikely(pull: Array) -> Array:
        """Above 0 where so good a result has too little chance."""
        assumed = likeliest(pull)
        if all_succeeded.all():
            return np.log(tail) - (sizes * np.log(assumed)).sum(1)
        found = _tail_quantile(observed, assumed, sizes, weights, step) - z
        return np.where(all_succeeded, np.log(tail) - (sizes * np.log(assumed)).sum(1), found) if all_succeeded.any() else found

    start = succeeded / trials
    spread = np.sqrt((weights**2 / sizes * start * (1 - start)).sum(1))
    low = likeliest(_root(unlikely, np.log(z / spread))) @ weights
    return np.where(mean > 0, np.minimum(low, mean), 0.0)


def _step(rates: Array, sizes: Array, weights: Array) -> Array:
    """Change of the mean by one trial: where that differs, between the finest and the usual step (geometric mean)."""
    pieces = weights / sizes
    variance = weights * pieces * rates * (1 - rates)
    return np.sqrt(pieces.min(1) * (variance * pieces).sum(1) / variance.sum(1))


def _tail_quantile(observed: Array, rates: Array, sizes: Array, weights: Array, step: Array) -> Array:
    """Standard normal quantile of the chance of a mean below `observed`, the mean being of trials with those rates."""
    pieces, odds = weights / sizes, np.log(rates) - np.log1p(-rates)
    tilt, tilted = _tilt(observed, odds, pieces, weights)
    growth = (sizes * (np.logaddexp(0, tilted) - np.logaddexp(0, odds))).sum(1)
    root = np.sign(tilt) * np.sqrt(np.maximum(2 * (tilt * observed - growth), 0))
    chance = 1 / (1 + np.exp(-tilted))
    curvature = (weights * pieces * chance * (1 - chance)).sum(1)
    other = 2 / step * np.sinh(np.clip(tilt * step / 2, -300, 300)) * np.sqrt(curvature)
    apart = np.abs(root) > 1e-3  # nearer, the correction is 0 / 0, and it matters nowhere near a limit
    safe = np.where(apart, root, 1)
    return np.where(apart, root + np.log(np.where(apart, other / safe, 1)) / safe, root)


def _tilt(target: Array, odds: Array, pieces: Array, weights: Array) -> tuple[Array, Array]:
    """Exponential tilt under which the mean is expected at `target` [results], and the rates' log odds under it.

    Newton's method on the log odds of the mean (in which it is nearly a straight line), kept between bounds.
    """
    wanted = np.log(target) - np.log1p(-target)
    bounds = (wanted[:, None] - odds) / pieces
    low, high = bounds.min(1), bounds.max(1)
    rates = 1 / (1 + np.exp(-odds))
    tilt = np.clip((target - rates @ weights) / (weights * pieces * rates * (1 - rates)).sum(1), low, high)
    tilted = odds
    for _ in range(80):
        tilted = np.clip(odds + tilt[:, None] * pieces, -700, 700)
        chance, rest = 1 / (1 + np.exp(-tilted)), 1 / (1 + np.exp(tilted))
        mean, left = chance @ weights, rest @ weights
        error = np.log(mean / left) - wanted
        if np.abs(error).max() < 1e-7:
            break
        high, low = np.where(error > 0, tilt, high), np.where(error > 0, low, tilt)
        newton = tilt - error * mean * left / (weights * pieces * chance * rest).sum(1)
        tilt = np.where((newton > low) & (newton < high), newton, (low + high) / 2)
    return tilt, tilted


def _root(function: Callable[[Array], Array], start: Array) -> Array:
    """Root of an increasing function, near `start` (regula falsi, Illinois variant); the end of the search if it has none."""
    low, high = start - 1, start + 1
    at_low = function(low)
    for _ in range(8):
        if not (above := at_low > 0).any():
            break
        low = np.where(above, low - 2, low)
        at_low = function(low)
    at_high = function(high)
    for _ in range(12):
        if not (below := at_high < 0).any():
            break
        high = np.where(below, high + 1.5, high)
        at_high = function(high)
    last, middle = np.zeros_like(start), start
    for _ in range(60):
        middle = high - at_high * (high - low) / np.where(at_high == at_low, 1, at_high - at_low)
        middle = np.where((middle > low) & (middle < high), middle, (low + high) / 2)
        value = function(middle)
        if np.minimum(np.abs(value), high - low).max() < TOLERANCE:
            break
        above = value >= 0
        at_high, at_low = (
            np.where(above, value, np.where(last < 0, at_high / 2, at_high)),
            np.where(above, np.where(last > 0, at_low / 2, at_low), value),
        )
        low, high, last = np.where(above, low, middle), np.where(above, middle, high), np.where(above, 1.0, -1.0)
    return middle
