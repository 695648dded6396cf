"""Two runs against each other, episode by episode: which is better, by how much, and how sure that is.

Episodes are paired by their scene (the key without the protocol): the same task, initial state and seed. The test flips
the sign of each initial state's difference in all ways at once, exactly; with one episode per initial state it is the
exact McNemar test (Psychometrika 12, 1947), and with several seeds it does not take them for independent; tasks weigh as
they do in the mean. The interval is
Bonett and Price's (Brit. J. Math. Stat. Psychol. 65, 2012) with tasks as strata: unlike a bootstrap it keeps its level
where few episodes flip, and has a width where none does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .outcomes import outcome
from .records import EpisodeRecord
from .stats import quantile

RESOLUTION = 100
"""Steps into which unequal weights of initial states are rounded for the exact test."""
Task = tuple[str, str, str]
"""(suite, task, part of it)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One scene played by both."""

    a: EpisodeRecord
    b: EpisodeRecord
    task: Task
    difference: int
    """1 where only B succeeded, -1 where only A did, 0 where both ended alike."""


@dataclass(frozen=True, slots=True)
class Difference:
    """B's success rate minus A's; fractions."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided, exact."""
    pairs: int
    gained: int
    """Scenes that only B won."""
    lost: int
    """Scenes that only A won."""
    scenes_needed: int | None
    """Initial states at which a difference of this size would be settled (80 % power, 5 % level); None where it is zero."""
    scenes: int
    """Initial states played."""


def pair(a: Iterable[EpisodeRecord], b: Iterable[EpisodeRecord], metric: str = "success") -> list[Pair]:
    """Scenes that both runs finished without error; those that repeat both trajectories under another seed only once."""
    of_b = {_scene(record): record for record in b if outcome(record, metric) is not None}
    found, seen = [], set()
    for record in a:
        other, value = of_b.get(_scene(record)), outcome(record, metric)
        if other is None or value is None:
            continue
        task = (record.suite, record.task, record.part)
        if record.trajectory_sha256 and other.trajectory_sha256:
            played = (task, record.look, record.init_state, record.trajectory_sha256, other.trajectory_sha256)
            if played in seen:
                continue
            seen.add(played)
        found.append(Pair(record, other, task, int(bool(outcome(other, metric))) - int(value)))
    return found


def _scene(record: EpisodeRecord) -> str:
    return record.key.partition("@")[0]


def difference(pairs: Sequence[Pair], weights: Mapping[Task, float] | None = None) -> Difference:
    """The paired difference with its 95 % interval and exact p-value.

    Args:
        pairs: scenes played by both, at least one.
        weights: share of each task in the mean; equal where not given.
    """
    scenes = _by_scene(pairs)
    rates = {task: np.array([d.mean() for d in states]) for task, states in scenes.items()}
    mean, low, high, variance = mean_difference(rates, weights)
    flips = [p.difference for p in pairs]
    return Difference(
        mean=mean,
        low=low,
        high=high,
        p=_p(scenes, weights),
        pairs=len(pairs),
        gained=flips.count(1),
        lost=flips.count(-1),
        scenes_needed=_needed(mean, variance),
        scenes=sum(map(len, rates.values())),
    )


def _p(scenes: Mapping[Task, Sequence[np.ndarray]], weights: Mapping[Task, float] | None) -> float:
    """Of the sign-flip test with the mean's own weights: whole numbers, so that ties stay ties."""
    sums = np.array([d.sum() for states in scenes.values() for d in states])
    parts = [
        (1.0 if weights is None else weights[task]) / len(states) / len(d) for task, states in scenes.items() for d in states
    ]
    equal = np.ptp(parts) < 1e-9 * max(parts)
    return sign_flip_p(sums if equal else sums * np.maximum(1, np.rint(RESOLUTION * np.array(parts) / max(parts))))


def _by_scene(pairs: Iterable[Pair]) -> dict[Task, list[np.ndarray]]:
    """Task -> per initial state, the differences of its seeds."""
    found: dict[Task, dict[int, list[int]]] = {}
    for one in pairs:
        found.setdefault(one.task, {}).setdefault(one.a.init_state, []).append(one.difference)
    return {task: [np.array(d) for d in states.values()] for task, states in found.items()}


def mean_difference(
    rates: Mapping[Task, np.ndarray], weights: Mapping[Task, float] | None = None
) -> tuple[float, float, float, float]:
    """Mean over tasks, its 95 % bounds, and the variance that one initial state contributes.

    Args:
        rates: task -> [initial states], mean difference of each, in [-1, 1].
        weights: share of each task in the mean; equal where not given.
    """
    given = {task: 1.0 if weights is None else weights[task] for task in rates}
    share = {task: weight / math.fsum(given.values()) for task, weight in given.items()}
    n = sum(map(len, rates.values()))
    mean = math.fsum(share[task] * float(own.mean()) for task, own in rates.items())
    variance = n * _variance(rates, share)
    middle, arm = mean * n / (n + 2), quantile(0.95) * math.sqrt(n * variance + 2) / (n + 2)
    return mean, max(-1.0, min(mean, middle - arm)), min(1.0, max(mean, middle + arm)), variance


def _variance(rates: Mapping[Task, np.ndarray], share: Mapping[Task, float]) -> float:
    """Of the weighted mean; a task of one initial state takes the spread of all tasks together."""
    pooled = float(np.mean(np.concatenate(list(rates.values())) ** 2))
    return math.fsum(
        share[task] ** 2 * (float(np.var(own, ddof=1)) if len(own) > 1 else pooled) / len(own) for task, own in rates.items()
    )


def _needed(mean: float, variance_of_one: float) -> int | None:
    if mean == 0:
        return None
    power = quantile(0.95) + quantile(0.60)  # the latter is the one-sided quantile of 80 %
    return math.ceil(power**2 * max(variance_of_one, abs(mean) - mean**2) / mean**2)


def sign_flip_p(sums: np.ndarray) -> float:
    """P(|S| >= |observed|) where every initial state's difference keeps or changes its sign with equal chance.

    Exact up to rounding (1e-14): the distribution of S is the inverse transform of its characteristic function, a product
    of cosines.
    """
    sizes, counts = np.unique(np.abs(sums[sums != 0]).astype(int), return_counts=True)
    top, observed = int(sizes @ counts), abs(int(sums.sum()))
    points = 2 * top + 1
    angles = 2 * np.pi * np.arange(top + 1) / points
    transform = np.prod([np.cos(angles * size) ** count for size, count in zip(sizes, counts, strict=True)], axis=0)
    chances = np.fft.irfft(np.broadcast_to(transform, angles.shape), points)
    return float(np.clip(1 - chances[0] - 2 * chances[1:observed].sum() if observed else 1.0, 0.0, 1.0))


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


def fisher_p(k1: int, n1: int, k2: int, n2: int) -> float:
    """Two-sided exact p-value for two unpaired rates (Fisher, 1935): tables at most as likely as the one seen."""
    low, high = max(0, k1 + k2 - n2), min(n1, k1 + k2)
    chances = [_log_choose(n1, k) + _log_choose(n2, k1 + k2 - k) for k in range(low, high + 1)]
    peak = max(chances)
    weights = [math.exp(value - peak) for value in chances]
    seen = weights[k1 - low] * (1 + 1e-7)
    return min(1.0, math.fsum(w for w in weights if w <= seen) / math.fsum(weights))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
