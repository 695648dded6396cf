"""Exact tests of two policies, paired by initial state; and of two rates that are not paired.

Under the hypothesis that the policies are equal, each initial state's difference keeps or changes its sign with equal chance.
With one episode per initial state this is the exact McNemar test (Psychometrika 12, 1947); with several seeds it does not take
them for independent; tasks weigh as they do in the mean.

If A and B have different numbers of seeds of a state, the sign of its difference is not symmetric if seeds are
independent: with one seed against three, most differences are a third against the three, and few are a whole against the one.
Then a second test shuffles the episodes of a state between A and B; it is exact for independent seeds and wrong
for copies, the first is right for copies. The larger p-value counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

RESOLUTION = 100
"""Steps into which unequal weights of initial states are rounded."""
LARGEST_SUM = 50_000
"""Largest sum of absolute values; larger ones are scaled down and rounded, which keeps the tests exact."""


@dataclass(frozen=True, slots=True)
class State:
    """One initial state of both runs."""

    appearances: tuple[tuple[int, int, int, int], ...]
    """For each common appearance: A's successes and episodes, B's successes and episodes."""

    @property
    def difference(self) -> Fraction:
        """B's success rate minus A's, in [-1, 1]: each its mean over seeds, averaged over appearances."""
        differences = [Fraction(kb, nb) - Fraction(ka, na) for ka, na, kb, nb in self.appearances]
        return sum(differences, Fraction(0)) / len(differences)


Tasks = Sequence[tuple[float, Sequence[State]]]
"""Per task: weight in the mean, initial states."""


def exact_p(tasks: Tasks) -> float:
    """Two-sided p-value of the hypothesis that two policies are equally good in every task."""
    states = [state for _, own in tasks for state in own]
    steps = _steps(tasks)
    flips = sign_flip_p(_whole([step * state.difference for step, state in zip(steps, states, strict=True)]))
    even = all(na == nb for state in states for _, na, _, nb in state.appearances)
    return flips if even else max(flips, shuffle_p(steps, states))


def _steps(tasks: Tasks) -> list[int]:
    """The initial states' weights in the mean as whole numbers: all 1 where they are equal."""
    weights = np.array([weight / len(own) for weight, own in tasks for _ in own])
    if np.ptp(weights) < 1e-9 * max(weights):
        return [1] * len(weights)
    return [max(1, round(RESOLUTION * weight / max(weights))) for weight in weights]


def _whole(values: Sequence[Fraction]) -> np.ndarray:
    """The values over their common denominator, so that ties stay ties; rounded where that is too much to add."""
    common = math.lcm(*(value.denominator for value in values))
    numbers = np.array([float(value * common) for value in values])
    total = float(np.abs(numbers).sum())
    return np.rint(numbers * min(1.0, LARGEST_SUM / total) if total else numbers)


def sign_flip_p(sums: np.ndarray) -> float:
    """P(|S| >= |observed|) where every initial state's difference keeps or changes its sign with equal chance.

    Exact up to rounding (1e-14): the distribution of S is the inverse transform of its characteristic function, a product
    of cosines.
    """
    sizes, counts = np.unique(np.abs(sums[sums != 0]).astype(int), return_counts=True)
    angles = _angles(int(sizes @ counts))
    transform = np.prod([np.cos(angles * size) ** count for size, count in zip(sizes, counts, strict=True)], axis=0)
    return _beyond(transform, len(angles) - 1, int(sums.sum()))


def shuffle_p(steps: Sequence[int], states: Sequence[State]) -> float:
    """P(|S| >= |observed|) where the episodes of each initial state (in one appearance) are randomly reassigned to A and B.

    Args:
        steps: weight of each state, a whole number.
        states: as many.
    """
    assigned = Counter(
        (step, len(state.appearances), na, nb, ka + kb)
        for step, state in zip(steps, states, strict=True)
        for ka, na, kb, nb in state.appearances
    )
    common = math.lcm(*(appearances * na * nb for _, appearances, na, nb, _ in assigned))
    largest = sum(count * step * common // appearances for (step, appearances, *_), count in assigned.items())
    scale = common * min(1.0, LARGEST_SUM / largest)

    def worth(step: int, appearances: int, na: int, nb: int, successes: int, of_b: int) -> int:
        return round(scale * step / appearances * (of_b / nb - (successes - of_b) / na))

    angles = _angles(sum(count * max(abs(worth(*kind, k)) for k in _assigned(*kind[2:])) for kind, count in assigned.items()))
    transform = np.ones(len(angles), complex)
    for kind, count in assigned.items():
        _, _, na, nb, successes = kind
        chances = {k: math.comb(nb, k) * math.comb(na, successes - k) for k in _assigned(na, nb, successes)}
        total = sum(chances.values())
        transform *= sum(chance / total * np.exp(-1j * angles * worth(*kind, k)) for k, chance in chances.items()) ** count
    observed = sum(
        worth(step, len(state.appearances), na, nb, ka + kb, kb)
        for step, state in zip(steps, states, strict=True)
        for ka, na, kb, nb in state.appearances
    )
    return _beyond(transform, len(angles) - 1, observed)


def _assigned(na: int, nb: int, successes: int) -> range:
    """Possible numbers of successes assigned to B."""
    return range(max(0, successes - na), min(nb, successes) + 1)


def _angles(top: int) -> np.ndarray:
    """Angles at which the characteristic function of a sum in [-top, top] is evaluated."""
    return 2 * np.pi * np.arange(top + 1) / (2 * top + 1)


def _beyond(transform: np.ndarray, top: int, observed: int) -> float:
    """P(|S| >= |observed|) from the transform of S, which is in [-top, top]."""
    if not observed:
        return 1.0
    points = 2 * top + 1
    chances = np.fft.irfft(np.broadcast_to(transform, top + 1), points)
    within = abs(observed) - 1
    return float(np.clip(1 - chances[: within + 1].sum() - chances[points - within :].sum(), 0.0, 1.0))


def fisher_p(k1: int, n1: int, k2: int, n2: int) -> float:
    """Two-sided exact p-value for two unpaired rates (Fisher, 1935): tables at most as likely as the observed one."""
    low, high = max(0, k1 + k2 - n2), min(n1, k1 + k2)
    chances = [_log_choose(n1, k) + _log_choose(n2, k1 + k2 - k) for k in range(low, high + 1)]
    peak = max(chances)
    weights = [math.exp(value - peak) for value in chances]
    seen = weights[k1 - low] * (1 + 1e-7)
    return min(1.0, math.fsum(w for w in weights if w <= seen) / math.fsum(weights))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
