"""Comparison of two independent samples of initial states per task: where two runs share no initial state.

Tasks are strata with the weights of the table's mean; the unit is the initial state, as the mean over seeds and appearances.

- Test: if both runs succeed equally often in every task, the initial states of a task could be exchanged between them. The
  distribution of the weighted difference under all exchanges is computed exactly; with one episode per state it is the
  stratified form of Fisher's exact test (1935). With several episodes per state, the states' means of two equally good policies
  can scatter differently (one repeats itself, the other does not; or the numbers of episodes differ) and are not exchangeable.
  Equal numbers of states absorb that if the numbers of episodes are equal, too; otherwise the level at which the interval
  excludes zero counts, if it is larger.
- Interval: the limits of both rates combined by the squares of their distances (Newcombe, Statist. Med. 17, 1998, method 10;
  Zou & Donner, Statist. Med. 27, 2008). Each rate has its own stratified, clustered limits (`intervals.stratified`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .exact import LARGEST_SUM
from .intervals import Stratum, stratified
from .paired_test import Difference, scenes_needed

ROUNDS = 12
"""Halvings in the search for the level of an interval that ends at zero; the result is rounded up."""
SMALLEST = 1e-6
"""Smallest p at which that search begins: intervals of higher levels are not computed."""


TaskSamples = tuple[Stratum, Stratum]
"""One task, or part of one, in A and in B; both strata have the task's weight in the mean."""


def unpaired_difference(tasks: Sequence[TaskSamples], level: float = 0.95) -> Difference:
    """The difference of two independent runs with its interval and p-value.

    Args:
        tasks: at least one, each with an initial state of both runs.
        level: of the interval, and of the verdict that `scenes_needed` is for.

    Returns:
        `pairs`, `gained` and `lost` are 0; `scenes` counts the initial states of both runs, `scenes_needed` those of each.
    """
    mean, low, high = _interval(tasks, level)
    p = exchange_p(tasks)
    scenes = sum(len(stratum.clusters) for task in tasks for stratum in task)
    return Difference(
        mean=mean,
        low=low,
        high=high,
        p=p if _exchangeable(tasks) else _interval_p(tasks, p),
        pairs=0,
        gained=0,
        lost=0,
        scenes_needed=_states_needed(tasks, mean, level),
        scenes=scenes,
        means=(mean, mean),
    )


def _interval(tasks: Sequence[TaskSamples], level: float) -> tuple[float, float, float]:
    a, b = stratified([a for a, _ in tasks], level), stratified([b for _, b in tasks], level)
    assert a is not None and b is not None
    mean = b.mean - a.mean
    below = math.hypot(b.mean - b.low, a.high - a.mean)
    above = math.hypot(b.high - b.mean, a.mean - a.low)
    return mean, max(-1.0, mean - below), min(1.0, mean + above)


def _exchangeable(tasks: Sequence[TaskSamples]) -> bool:
    """Whether equal rates suffice for the exchange test: one episode per state, or as many states and episodes in both."""
    episodes = {n for task in tasks for stratum in task for _, n in stratum.clusters}
    return episodes == {1} or (len(episodes) == 1 and all(len(a.clusters) == len(b.clusters) for a, b in tasks))


def _interval_p(tasks: Sequence[TaskSamples], smallest: float) -> float:
    """Smallest p, of those from `smallest` on, at which the interval of level 1 - p excludes zero."""

    def excludes_zero(p: float) -> bool:
        _, low, high = _interval(tasks, 1 - max(p, SMALLEST))
        return low > 0 or high < 0

    if smallest > 1 - 0.5**ROUNDS:  # intervals of level 0 have no width
        return 1.0
    if excludes_zero(smallest):
        return smallest
    excluded, included = 1.0, smallest
    for _ in range(ROUNDS):
        p = (excluded + included) / 2
        excluded, included = (p, included) if excludes_zero(p) else (excluded, p)
    return excluded


def exchange_p(tasks: Sequence[TaskSamples]) -> float:
    """P(|D| >= |observed|) where each task's initial states are randomly divided between A and B, in the observed numbers."""
    parts = [_means(task) for task in tasks]
    # B's mean minus A's is (1/a + 1/b) x (sum of B's states) + constant; whole numbers keep ties ties.
    scales = [task[0].weight * (1 / len(a) + 1 / len(b)) / common for task, (a, b, common) in zip(tasks, parts, strict=True)]
    reach = sum(scale * (sum(a) + sum(b)) for scale, (a, b, _) in zip(scales, parts, strict=True))
    if not reach:
        return 1.0
    steps = _whole(scales, reach)
    observed, centre = 0, 0.0
    points = 1 + sum(step * (sum(a) + sum(b)) for step, (a, b, _) in zip(steps, parts, strict=True))
    transform = np.ones(points // 2 + 1, complex)
    for step, (a, b, _) in zip(steps, parts, strict=True):
        chances = np.zeros(points)
        own = subset_sums((*a, *b), len(b))
        chances[: step * len(own) : step] = own
        transform *= np.fft.rfft(chances)
        observed += step * sum(b)
        centre += step * (sum(a) + sum(b)) * len(b) / (len(a) + len(b))
    if abs(observed - centre) < 1e-6:
        return 1.0
    distances = np.abs(np.arange(points) - centre)
    beyond = np.fft.irfft(transform, points)[distances >= abs(observed - centre) - 1e-6]
    return float(np.clip(beyond.sum(), 0.0, 1.0))


def _whole(scales: Sequence[float], reach: float) -> list[int]:
    """The scales as whole numbers, exact where all are equal."""
    if max(scales) - min(scales) < 1e-9 * max(scales):
        return [1] * len(scales)
    return [max(1, round(scale * LARGEST_SUM / reach)) for scale in scales]


def _means(task: TaskSamples) -> tuple[list[int], list[int], int]:
    """Each state's mean in whole multiples of one fraction, for A and B; and the fraction's denominator."""
    common = math.lcm(*(n for stratum in task for _, n in stratum.clusters))
    a, b = ([k * common // n for k, n in stratum.clusters] for stratum in task)
    return a, b, common


def subset_sums(values: Sequence[int], size: int) -> np.ndarray:
    """[sum(values) + 1] probabilities of the sum of a random subset of that size."""
    total = sum(values)
    table = np.zeros((size + 1, total + 1))
    table[0, 0] = 1.0
    for seen, value in enumerate(values):
        # Row k: k values were chosen so far. Each next one is chosen with the chance that keeps all subsets equally likely.
        chosen = np.zeros_like(table)
        chosen[1:, value:] = table[:-1, : total + 1 - value]
        left = len(values) - seen
        taken = np.clip((size - np.arange(size + 1)) / left, 0.0, 1.0)
        chosen[1:] *= taken[:-1, None]
        table = table * (1 - taken)[:, None] + chosen
    return table[size]


def _states_needed(tasks: Sequence[TaskSamples], mean: float, level: float) -> int | None:
    """Initial states of each run that would settle a difference of this size in 80 % of runs; None if it is zero.

    The exact test has fewer possible differences than the normal distribution; the correction for that is Casagrande, Pike &
    Smith's (Biometrics 34, 1978), with the step of a difference that one episode makes.
    """
    needed = scenes_needed(mean, _variance_of_one(tasks), level)
    if needed is None:
        return None
    episodes = max(n for task in tasks for stratum in task for _, n in stratum.clusters)
    return math.ceil(needed / 4 * (1 + math.sqrt(1 + 4 / (episodes * needed * abs(mean)))) ** 2)


def _variance_of_one(tasks: Sequence[TaskSamples]) -> float:
    """Variance that one initial state of each run contributes to the difference."""
    total = math.fsum(task[0].weight for task in tasks)
    variance = 0.0
    for task in tasks:
        for stratum in task:
            rates = np.array([k / n for k, n in stratum.clusters])
            smoothed = (rates.sum() + 0.5) / (len(rates) + 1)
            spread = max(float(rates.var()), smoothed * (1 - smoothed) / 2)
            variance += task[0].weight / total * spread
    return variance
