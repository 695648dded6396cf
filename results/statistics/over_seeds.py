"""Inference over training seeds: every seed trains all arms anew and evaluates them on its own initial states.

The unit is the seed. Its difference of two arms contains the variation of its training and of its states, so Student's t over
seeds covers both. Shares, not points: 0.08 is eight points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np

RESAMPLES = 4000
QUANTILES = 4000


@dataclass(frozen=True, slots=True)
class SeedMean:
    """Mean of one number per seed, with Student's interval and two-sided p against a hypothesis."""

    mean: float
    low: float
    high: float
    p: float
    seeds: int
    deviation: float
    """Standard deviation between seeds; contains the sampling of states within them."""


def student(numbers: Sequence[float], hypothesis: float = 0.0, level: float = 0.95) -> SeedMean:
    """Student's t over independent, roughly normal numbers (Biometrika 6, 1908).

    Args:
        numbers: one per seed, at least two.
        hypothesis: value of the mean that p refers to. Numbers without variation give p 0 or 1.
        level: of the interval.
    """
    from scipy.stats import t

    if len(numbers) < 2:
        raise ValueError(f"an interval over seeds needs at least two seeds, got {len(numbers)}")
    centre, spread, degrees = mean(numbers), stdev(numbers), len(numbers) - 1
    error = spread / len(numbers) ** 0.5
    half = float(t.ppf((1 + level) / 2, degrees)) * error
    t_value = abs(centre - hypothesis) / error if error else (0.0 if centre == hypothesis else math.inf)
    p = 2 * float(t.sf(t_value, degrees))
    return SeedMean(centre, centre - half, centre + half, p, len(numbers), spread)


Differences = Mapping[str, Sequence[float]]
"""Task -> differences of its initial states."""


def hierarchical_interval(
    seeds: Sequence[Differences], weights: Mapping[str, float], level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean difference: seeds are resampled, then the states of each within its tasks.

    With few seeds it is narrower than Student's, which decides; it shows how much of the width the states contribute.

    Args:
        seeds: the differences of every training seed.
        weights: task -> share of the mean; they sum to 1.
        level: of the interval.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    resampled = np.stack([_resampled_states(differences, weights, generator) for differences in seeds])
    chosen = generator.integers(len(seeds), size=(len(seeds), RESAMPLES))
    means = np.take_along_axis(resampled, chosen, axis=0).mean(axis=0)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_states(differences: Differences, weights: Mapping[str, float], generator: np.random.Generator) -> np.ndarray:
    """[resamples] weighted means of one seed, its states resampled within each task."""
    total = np.zeros(RESAMPLES)
    for task, values in differences.items():
        distinct, counts = np.unique(np.asarray(values, float), return_counts=True)
        chosen = generator.multinomial(len(values), counts / len(values), size=RESAMPLES)
        total += weights[task] * (chosen @ distinct) / len(values)
    return total


@dataclass(frozen=True, slots=True)
class Design:
    """A paired comparison of two arms over training seeds."""

    seeds: int
    states: int
    """Per seed."""
    between: float
    """Standard deviation of the true difference between seeds."""
    discordance: float
    """Share of states in which the arms end differently."""

    def error(self, effect: float) -> float:
        """Standard error of the mean difference."""
        within = max(self.discordance - effect**2, 0.0) / self.states
        return ((self.between**2 + within) / self.seeds) ** 0.5


def power(design: Design, effect: float, alpha: float = 0.05) -> float:
    """Probability that Student's two-sided test over seeds shows an effect of that size.

    The noncentral t, averaged over quantiles of the sample variance: scipy's own has gaps (NaN) far from zero.
    """
    from scipy.stats import chi2, norm, t

    degrees, error = design.seeds - 1, design.error(effect)
    if error == 0.0:
        return 1.0 if effect else alpha
    spreads = np.sqrt(chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, degrees) / degrees)
    limits, shift = t.ppf(1 - alpha / 2, degrees) * spreads, effect / error
    return float((norm.sf(limits - shift) + norm.cdf(-limits - shift)).mean())


def smallest_effect(design: Design, wanted: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest effect with that power, to 0.0001; 1 where no share has it."""
    low, high = 0.0, 1.0
    if power(design, high, alpha) < wanted:
        return 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if power(design, middle, alpha) >= wanted else (middle, high)
    return high
