"""Several runs in one ranking: the overall mean of each on the scenes that all of them played, and who is better than whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..conditions import Unlike, conditions
from ..coverage import unfinished
from ..grouping import Group, Rate, parts, rate
from ..layouts import Item, Layout
from ..store.reader import StoredRun
from .comparison import check, paired, part, readings
from .families import families, overall
from .paired_test import Difference, agreeing, holm, simultaneous
from .pairing import common, left_out, open_episodes, told, whole
from .ranking import LEVEL, letters, ranks


@dataclass(frozen=True, slots=True)
class Standing:
    """One run's place among several."""

    run: StoredRun
    rate: Rate
    rank: int
    """1 + the number of runs that are significantly better; equal ranks need not be equally good."""
    letters: str
    """Runs that share a letter cannot be told apart."""
    errors: Mapping[str, int]
    """Its uncertain episodes by cause; they count against it where it seems better, and for it where it seems worse."""
    left_out: int
    """Episodes of its overall mean in scenes that not all of the runs played."""
    short: tuple[str, ...]
    """In what the run falls short of its plan."""


@dataclass(frozen=True, slots=True)
class Duel:
    """Two of the runs; the difference is the second's rate minus the first's."""

    a: StoredRun
    b: StoredRun
    difference: Difference
    """Its interval is one of those of all pairs, which hold together."""
    p: float
    """Corrected for the number of pairs (Holm)."""
    unlike: tuple[Unlike, ...]
    """Conditions besides the policy in which the two differ."""

    @property
    def settled(self) -> bool:
        """Whether one of the two is better, all pairs taken together."""
        return self.p <= LEVEL


@dataclass(frozen=True, slots=True)
class Ranking:
    """Several runs, best first."""

    standings: tuple[Standing, ...]
    duels: tuple[Duel, ...]
    layout: Layout
    item: Item
    """What they are ranked by."""
    part: str
    """What of it all of them played, where that is not the whole."""
    others: tuple[str, ...]
    """Suites that some of them played and that are not in the mean."""


def rank(runs: Sequence[StoredRun], *, anyway: bool = False) -> Ranking:
    """The runs ranked by their overall mean over the scenes that all of them played; p-values corrected over all pairs (Holm).

    Raises ValueError where no scene was played by all, Incomparable where the conditions of two of them forbid a verdict, unless
    `anyway`.
    """
    groups = [whole(run) for run in runs]
    sides = list(combinations(range(len(runs)), 2))
    unlike = [check(groups[i], groups[j], anyway=anyway) for i, j in sides]
    kept = common(groups)
    layout, item = mean_of_all(kept)
    level = simultaneous(len(sides))
    found = [paired(readings(kept[i], kept[j], layout, item, "success"), level) for i, j in sides]
    corrected = holm([one.p for one in found])
    duels = [
        Duel(runs[i], runs[j], agreeing(one, settled=p <= LEVEL), p, tuple(conditions))
        for (i, j), one, p, conditions in zip(sides, found, corrected, unlike, strict=True)
    ]
    better = np.zeros((len(runs), len(runs)), bool)
    for (i, j), duel in zip(sides, duels, strict=True):
        better[i, j], better[j, i] = duel.settled and duel.difference.mean < 0, duel.settled and duel.difference.mean > 0
    standings = _standings(groups, kept, layout, item, better)
    others = tuple(
        sorted({suite for group in groups for suite in group.suites} - {one.suite for one in parts(layout, item, "success")})
    )
    return Ranking(standings, tuple(duels), layout, item, part(layout, item, "success", kept), others)


def mean_of_all(groups: Sequence[Group]) -> tuple[Layout, Item]:
    """The table that shows most of what all groups played, and the mean over its columns that they fill.

    Raises ValueError where they have no scene in common. Give it what `pairing.common` leaves.
    """
    if all(group.records for group in groups):
        for layout in families(groups):
            if (item := overall(layout, groups)) is not None:
                return layout, item
    names = ", ".join(group.run.name for group in groups)
    raise ValueError(f"{names} have no scene in common: run them with the same --suite, --tasks, --init-states and --seeds")


def _standings(
    groups: Sequence[Group], kept: Sequence[Group], layout: Layout, item: Item, better: np.ndarray
) -> tuple[Standing, ...]:
    rates = [rate(group, layout, item) for group in kept]
    places = ranks(better)
    order = sorted(range(len(kept)), key=lambda i: (places[i], -_mean(rates[i])))
    groups_of_equals = letters(better | better.T, order)
    return tuple(_standing(groups[i], kept[i], layout, item, rates[i], places[i], groups_of_equals[i]) for i in order)


def _mean(found: Rate | None) -> float:
    return found.low.mean if found else 0.0


def _standing(group: Group, kept: Group, layout: Layout, item: Item, found: Rate | None, place: int, equals: str) -> Standing:
    assert found is not None  # the column is filled
    causes = told(open_episodes(kept, layout, item, "success"), kept, "success")
    return Standing(
        run=group.run,
        rate=found,
        rank=place,
        letters=equals,
        errors={name: count for name, count in causes.items() if not name.startswith("other_")},
        left_out=left_out(group, kept, layout, item, "success"),
        short=tuple(unfinished(conditions(group.run))),
    )
