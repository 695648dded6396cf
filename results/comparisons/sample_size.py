"""Sample sizes: episodes that a comparison needs, and the smallest difference that a plan can show.

Two policies are compared on the same initial states (`statistics.comparison`): each state gives one difference, the mean over its
repetitions (seeds, and its appearances if several) of one policy minus that of the other. Its variance follows from the
success rates and from the likeness of the repetitions of one state (intra-class correlation: 1 if they always end alike, as
with a deterministic policy, 0 if they are independent). Pairing only increases power; by how much is unknown before both
policies are evaluated, so it is not counted.

Several columns of a table are one family of hypotheses (Holm), so each column is planned at 5 % over their number, the
strictest level of any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ..grouping import Group, clusters, component_columns, task_weights
from ..layouts import Column, Layout
from ..rates import rate

LEVEL, POWER = 0.05, 0.8
MOST_OPEN = 0.1
"""Share of a pilot's episodes that may have ended in an error: with more, its rate says too little to plan with."""
SMALLEST = 0.0005
"""Differences are searched to this precision."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """Planned episodes of one column, for each policy."""

    name: str
    states: float
    """Planned initial states; with unequal task weights, the effective number of equally weighted ones (Kish)."""
    repeats: float
    """Episodes of each initial state: appearances times seeds."""
    available: int
    """Initial states that the benchmark has."""


def variance(base: float, gain: float, repeats: float, likeness: float) -> float:
    """Variance of one initial state's difference, for success rates `base` and `base + gain` (fractions)."""
    share = likeness + (1 - likeness) / repeats
    return share * (base * (1 - base) + (base + gain) * (1 - base - gain))


def power(states: float, gain: float, base: float, repeats: float, likeness: float, level: float = LEVEL) -> float:
    """Power of the exact paired test.

    Args:
        states: initial states of both.
        gain: true difference of the success rates, above 0; fractions.
        base: success rate of the weaker policy.
        repeats: episodes of each initial state for each policy.
        likeness: intra-class correlation of the repetitions of one state, 0 to 1.
        level: two-sided level of the test, corrected for the number of columns.

    Exact where the repetitions of a state end alike (McNemar's test), else by the sign-flip test's normal approximation.
    """
    gain = min(gain, 1 - base)
    if repeats * (1 - likeness) <= 1 and (repeats == 1 or likeness == 1):
        return _mcnemar_power(round(states), gain, base, level)
    one = variance(base, gain, repeats, likeness)
    needed = _NORMAL.inv_cdf(1 - level / 2) * math.sqrt(one + gain**2)
    return _NORMAL.cdf((math.sqrt(states) * gain - needed) / math.sqrt(one)) if one > 0 else 1.0


def _mcnemar_power(states: int, gain: float, base: float, level: float) -> float:
    return _sign_power(states, (base + gain) * (1 - base), base * (1 - base - gain), level)


def _sign_power(states: int, gained: float, lost: float, level: float) -> float:
    """Sum over the number of states that end differently of the chance that so many are lopsided enough."""
    import numpy as np
    from scipy.stats import binom

    different = gained + lost
    if different <= 0 or states < 1:
        return 0.0
    counts = np.arange(states + 1)
    chances = binom.pmf(counts, states, different)
    counts, chances = counts[chances > 1e-12], chances[chances > 1e-12]
    allowed = binom.ppf(level / 2, counts, 0.5)
    allowed = np.where(binom.cdf(allowed, counts, 0.5) > level / 2, allowed - 1, allowed)  # losses with which the test rejects
    return float((chances * np.where(allowed >= 0, binom.cdf(allowed, counts, lost / different), 0.0)).sum())


def states_needed(gain: float, base: float, repeats: float, likeness: float, level: float = LEVEL, target: float = POWER) -> int:
    """Fewest initial states from which on the comparison has the target power; fractions as in `power`."""
    low, high = 1, 2
    while power(high, gain, base, repeats, likeness, level) < target:
        low, high = high, 2 * high
        if high > 10**8:
            raise ValueError(f"no number of initial states can show a difference of {100 * gain:g} points")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, gain, base, repeats, likeness, level) >= target else (middle, high)
    return high


def smallest_difference(
    states: float, base: float, repeats: float, likeness: float, level: float = LEVEL, target: float = POWER
) -> float | None:
    """Smallest gain over `base` that so many initial states show with the target power; None where not even 100 % would."""
    low, high = 0.0, 1 - base
    if high <= 0 or power(states, high, base, repeats, likeness, level) < target:
        return None
    while high - low > SMALLEST:
        middle = (low + high) / 2
        low, high = (low, middle) if power(states, middle, base, repeats, likeness, level) >= target else (middle, high)
    return high


DISCORDANT = 0.15
"""Assumed share of pairs (an episode and its control) that end differently."""


def paired_power(pairs: int, gain: float, discordant: float = DISCORDANT, level: float = LEVEL) -> float:
    """Power of the exact McNemar test of a mean difference `gain`, where a share `discordant` of the pairs ends differently."""
    return _sign_power(pairs, (discordant + gain) / 2, (discordant - gain) / 2, level)


def smallest_paired_difference(
    pairs: int, discordant: float = DISCORDANT, level: float = LEVEL, target: float = POWER
) -> float | None:
    """Smallest mean difference that so many pairs show with the target power; None where not even the largest possible would."""
    low, high = 0.0, discordant
    if paired_power(pairs, high, discordant, level) < target:
        return None
    while high - low > SMALLEST:
        middle = (low + high) / 2
        low, high = (low, middle) if paired_power(pairs, middle, discordant, level) >= target else (middle, high)
    return high


def kish(weights: Sequence[float], states: Sequence[int]) -> float:
    """Effective number of initial states for tasks of those weights (sum 1) with so many states each."""
    return 1 / math.fsum(w * w / n for w, n in zip(weights, states, strict=True))


def column_plans(layout: Layout, scenes: Iterable[tuple[str, str, str, int]], seeds: int) -> list[ColumnPlan]:
    """The columns of a table that a plan fills.

    Args:
        layout: the table.
        scenes: (suite, task name, variant, initial state) of the planned episodes of one seed.
        seeds: seeds of each.
    """
    found: dict[tuple[str, str, str], set[int]] = {}
    for suite, task, variant, state in scenes:
        found.setdefault((suite, task, variant), set()).add(state)
    made = []
    for column in layout.columns:
        strata: list[tuple[float, int, int]] = []
        parts = layout.components(column)
        for part in parts:
            own = _strata(part, found)
            strata += [(share / len(parts), states, appearances) for share, states, appearances in own]
            if not own:
                break
        else:
            weights_, states, appearances = zip(*strata, strict=True)
            each = seeds * sum(appearances) / len(appearances)
            available = sum(_available(part) for part in parts)
            made.append(ColumnPlan(column.name, kish(weights_, states), each, available or sum(states)))
    return made


def _strata(column: Column, found: Mapping[tuple[str, str, str], set[int]]) -> list[tuple[float, int, int]]:
    """(weight, initial states, appearances) of each task and part of a column; empty if it is not planned."""
    own: dict[tuple[str, str], list[set[int]]] = {}
    for (suite, task, variant), states in found.items():
        if suite == column.suite and (not column.tasks or task.startswith(column.tasks)):
            own.setdefault((task, variant.partition("/")[2]), []).append(states)
    return [(share, len(set.union(*own[task])), len(own[task])) for task, share in task_weights(own, column).items()]


def _available(column: Column) -> int:
    """Initial states that the benchmark has for a column: those of each task and part."""
    return column.states * column.task_count * column.part_count


@dataclass(frozen=True, slots=True)
class Pilot:
    """Results of an earlier run in one column; fractions."""

    base: float
    low: float
    high: float
    """95 % bounds of the base rate."""
    likeness: float | None
    """Likeness of the repetitions of one initial state; None with too few repeated states."""


def pilot(group: Group, layout: Layout, name: str) -> Pilot | None:
    """The rate (errors as failures) and the likeness that a run found in a column; None where it lacks the column, or errors
    left more than a tenth of it uncertain."""
    column = layout.column(name)
    found = rate(group, layout, column)
    if found is None:
        return None
    tasks = [
        states
        for part in component_columns(layout, column, "success")
        for states in clusters(group, part, "success", "failures").values()
    ]
    return Pilot(found.low.mean, *found.bounds, likeness([list(states.values()) for states in tasks]))


def likeness(tasks: Sequence[Sequence[Sequence[int]]]) -> float | None:
    """Intra-class correlation of the episodes of one initial state (one-way analysis of variance, tasks as strata).

    Args:
        tasks: for each task, (successes, episodes) of its initial states.

    None for fewer than ten degrees of freedom.
    """
    between = within = 0.0
    states_df = episodes_df = 0
    for states in tasks:
        n, k, m = sum(n for _, n in states), sum(k for k, _ in states), len(states)
        if m < 2 or n <= m or k in (0, n):
            continue
        between += sum(own * (successes / own - k / n) ** 2 for successes, own in states)
        within += sum(successes * (1 - successes / own) for successes, own in states)
        states_df += m - 1
        episodes_df += n - m
    if states_df < 10:
        return None
    repeats = 1 + episodes_df / (states_df + len(tasks))
    msb, msw = between / states_df, within / episodes_df
    total = msb + (repeats - 1) * msw
    return max(0.0, min(1.0, (msb - msw) / total)) if total else 1.0
