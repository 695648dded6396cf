"""Which of several policies is best, as far as the numbers can tell; and whether a simulator ranks them as the robot does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .compare import fisher_p

LEVEL = 0.05


def best(rates: Sequence[tuple[float, int]], *, higher: bool = True) -> int | None:
    """Index of the rate that is better than each of the others by more than chance explains; None where there is none.

    Args:
        rates: (rate, episodes) of each policy; unpaired.
        higher: whether more is better.

    Fisher's exact test against every other, each at 5 %: an intersection-union test, whose claim is false as soon as one of its
    parts is, so that their number needs no correction (Berger, Technometrics 24, 1982; Gutmann & Maymin, Ann. Statist. 15, 1987).
    """
    if len(rates) < 2:
        return None
    first, *others = sorted(range(len(rates)), key=lambda i: rates[i][0], reverse=higher)
    return first if all(rates[first][0] != rates[i][0] and _p(rates[first], rates[i]) <= LEVEL for i in others) else None


def above(rate: tuple[float, int], floor: tuple[float, int]) -> bool:
    """Whether a rate is higher than another by more than chance explains (Fisher's exact test, unpaired)."""
    return rate[0] > floor[0] and _p(rate, floor) <= LEVEL


def _p(a: tuple[float, int], b: tuple[float, int]) -> float:
    return fisher_p(round(a[0] * a[1]), a[1], round(b[0] * b[1]), b[1])


def ranks(better: np.ndarray) -> list[int]:
    """Rank of each policy: 1 + the number of policies that are significantly better; equal ranks are ties.

    Args:
        better: [policies, policies] bool, whether the row's policy is significantly better than the column's.
    """
    return [1 + int(worse) for worse in np.asarray(better, bool).sum(axis=0)]


def pearson(simulated: Sequence[float], real: Sequence[float]) -> float:
    """Correlation of success rates in simulation and on the robot, over policies (at least two that differ)."""
    return float(np.corrcoef(simulated, real)[0, 1])


def mean_maximum_rank_violation(simulated: Sequence[float], real: Sequence[float]) -> float:
    """MMRV (Li et al., SIMPLER, 2024): how much real performance is misranked by the simulator; 0 is best.

    For each policy, the largest real difference to a policy that the simulator orders the other way; averaged.
    """
    sim, robot = np.asarray(simulated, float), np.asarray(real, float)
    misordered = (sim[:, None] > sim[None, :]) != (robot[:, None] > robot[None, :])
    return float(np.max(np.abs(robot[:, None] - robot[None, :]) * misordered, axis=1).mean())
