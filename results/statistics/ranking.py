"""The best of several policies, and groups of policies that cannot be distinguished."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from string import ascii_lowercase

import numpy as np

from .exact import fisher_p

LEVEL = 0.05


def best(rates: Sequence[tuple[float, int]], *, higher: bool = True) -> int | None:
    """Index of the rate that is significantly better than each of the others, or None.

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
    """Whether a rate is significantly higher than another (Fisher's exact test, unpaired)."""
    return rate[0] > floor[0] and _p(rate, floor) <= LEVEL


def _p(a: tuple[float, int], b: tuple[float, int]) -> float:
    return fisher_p(round(a[0] * a[1]), a[1], round(b[0] * b[1]), b[1])


def ranks(better: np.ndarray) -> list[int]:
    """Rank of each policy: 1 + the number of policies that are significantly better; equal ranks are ties.

    Args:
        better: [policies, policies] bool, whether the row's policy is significantly better than the column's.
    """
    return [1 + int(worse) for worse in np.asarray(better, bool).sum(axis=0)]


def letters(different: np.ndarray, order: Sequence[int]) -> list[str]:
    """Letters of each policy such that two share one exactly if they cannot be distinguished.

    Args:
        different: [policies, policies] bool, symmetric: whether the two differ significantly.
        order: policies from best to worst; `a` is the best one's.

    Insertion and absorption (Piepho, J. Comput. Graph. Statist. 13, 2004): every pair that differs splits all groups with
    both; groups inside others are dropped.
    """
    groups = [frozenset(order)]
    for i, j in combinations(order, 2):
        if different[i, j]:
            parted = [part for group in groups for part in ((group - {i}, group - {j}) if {i, j} <= group else (group,))]
            groups = [one for one in dict.fromkeys(parted) if not any(one < other for other in parted)]
    places = {policy: place for place, policy in enumerate(order)}
    groups.sort(key=lambda group: sorted(places[policy] for policy in group))
    names = [_letter(number) for number in range(len(groups))]
    return [" ".join(name for name, group in zip(names, groups, strict=True) if policy in group) for policy in range(len(order))]


def _letter(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    first, last = divmod(number, len(ascii_lowercase))
    return (_letter(first - 1) if first else "") + ascii_lowercase[last]
