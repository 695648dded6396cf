"""Test of noninferiority: whether B is worse than A by less than a margin. Unlike "no difference found", this must be shown.

The claim is made where two one-sided tests at 5 % both reject "B is worse by the margin or more":

- Bonett and Price's interval (`paired_test.mean_difference`), which uses each task's own variance;
- a score test after Tango (Statistics in Medicine 17, 1998): the variance is that under "B is worse by exactly the
  margin", so that few observed losses are not mistaken for few expected ones. It has a continuity correction of half an
  initial state, and treats the seeds of an initial state as copies where too little varied to tell.

Initial states are the unit; with a deterministic policy further seeds add nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from ..statistics.paired_test import TaskDifferences, mean_difference
from ..store.reader import StoredRun
from .comparison import compared_part, require_comparable_groups
from .families import overall_column
from .pairing import AGAINST_B, common_scenes, task_differences, whole_run

LEVEL = 0.05
"""One-sided."""
QUANTILE = NormalDist().inv_cdf(1 - LEVEL)
CONTINUITY = 0.5
"""Continuity correction of the score, in initial states."""
FEWEST = 20
"""Fewest initial states with a difference for estimating the variation of seeds within a state."""


@dataclass(frozen=True, slots=True)
class NoninferiorityResult:
    """B against A with a margin; fractions."""

    by: str
    """Column tested."""
    part: str
    """The evaluated part of the column; empty for the whole."""
    margin: float
    mean: float
    """B minus A, uncertain episodes counted against B."""
    low: float
    """One-sided 95 % bound: if negative, B is worse by at most this."""
    shown: bool
    """Whether B is shown to be no worse than A by the margin."""
    scenes: int
    """Initial states."""
    missing: int = 0
    """Scenes that A has evaluated and B has not: with any, nothing is shown, or omitting hard scenes would show it."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Differences as counts of equally weighty initial states; arrays of any shape, one entry per comparison."""

    n: float
    """Effective number of equally weighted states."""
    gained: np.ndarray
    lost: np.ndarray
    likeness: np.ndarray
    """Squared over absolute differences: 1 where the seeds of a state are copies, less where they vary."""


def assess(tasks: Sequence[TaskDifferences], margin: float, by: str = "", part: str = "") -> NoninferiorityResult:
    """The test on one column.

    Args:
        tasks: of `pairing.task_differences`, with uncertain episodes counted against B.
        margin: largest loss that counts as no worse, a fraction.
    """
    rates = [(task.weight, np.array([float(d) for d in task.differences])) for task in tasks]
    mean, low, _, _ = mean_difference(rates, 1 - 2 * LEVEL)
    weights = np.concatenate([np.full(len(own), weight / len(own)) for weight, own in rates])
    bound = min(low, _score_bound(counted(weights, np.concatenate([own for _, own in rates]))))
    return NoninferiorityResult(by, part, margin, mean, bound, bound > -margin, len(weights))


def counted(weights: np.ndarray, values: np.ndarray) -> StateCounts:
    """Gains and losses on the scale of the states' effective number.

    Args:
        weights: [states], shares in the mean.
        values: [..., states], differences in [-1, 1].
    """
    weights = weights / weights.sum()
    n = float(1 / (weights**2).sum())
    absolute = np.abs(values) @ weights
    known = (values != 0).sum(axis=-1) >= FEWEST
    likeness = np.where(known, n * (values**2 @ weights**2) / np.where(known, absolute, 1.0), 1.0)
    return StateCounts(
        n, n * (np.maximum(values, 0) @ weights), n * (np.maximum(-values, 0) @ weights), np.minimum(likeness, 1.0)
    )


def _score_bound(found: StateCounts) -> float:
    """The smallest difference that the score test does not reject."""
    refuted, kept = -1.0, float(found.gained - found.lost) / found.n
    for _ in range(40):
        middle = (refuted + kept) / 2
        refuted, kept = (middle, kept) if score(found, -middle) >= QUANTILE else (refuted, middle)
    return kept


def score(found: StateCounts, margin: float) -> np.ndarray:
    """Standard normal score of the evidence against "B is worse by the margin or more"; margin in [-1, 1]."""
    excess = found.gained - found.lost + margin * found.n - CONTINUITY
    variance = found.n * (found.likeness * discordant(found, margin) - margin**2)
    return excess / np.sqrt(np.maximum(variance, 1e-12))


def discordant(found: StateCounts, margin: float) -> np.ndarray:
    """Maximum likelihood share of states that differ, if B's rate is lower than A's by exactly the margin.

    The share g of gained states, with g + margin of lost ones, that maximises b ln g + c ln(g + margin) + (n - b - c)
    ln(1 - margin - 2 g), which is a root of 2 n g^2 + k g - b margin (1 - margin).
    """
    n, b, c = found.n, found.gained, found.lost
    k = 2 * margin * (n - c) - (b + c) * (1 - margin)
    root = (np.sqrt(np.maximum(0.0, k**2 + 8 * n * b * margin * (1 - margin))) - k) / (4 * n)
    return 2 * np.clip(root, max(0.0, -margin), (1 - margin) / 2) + margin


def noninferiority_test(
    a: StoredRun, b: StoredRun, margin: float, *, anyway: bool = False, perturbation: str = ""
) -> NoninferiorityResult:
    """The test of run B against run A on their overall mean (`families.overall`), in the scenes that both evaluated.

    Not shown where B lacks scenes of A. Raises ValueError if they have no scene in common, Incomparable if their conditions
    forbid a verdict, unless `anyway`.
    """
    groups = whole_run(a, perturbation), whole_run(b, perturbation)
    require_comparable_groups(*groups, anyway=anyway)
    of_a, of_b = common_scenes(groups)
    layout, column = overall_column((of_a, of_b))
    tasks = task_differences(of_a, of_b, layout, column, "success", AGAINST_B)
    result = assess(tasks, margin, column.name, compared_part(layout, column, "success", (of_a, of_b)))
    missing = len({record.scene for record in groups[0].records} - {record.scene for record in groups[1].records})
    return replace(result, missing=missing, shown=result.shown and not missing)
