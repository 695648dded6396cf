"""Ranking of several runs by their overall mean on the scenes of all, with pairwise tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..conditions import ConditionDifference
from ..grouping import Group, component_columns
from ..layouts import Column, Layout
from ..rates import Rate, rate
from ..statistics.paired_test import Difference, align_with_test, holm, simultaneous
from ..statistics.ranking import LEVEL, letters, ranks
from ..store.reader import StoredRun
from .comparison import compared_part, readings, require_comparable_groups, shortcomings, worst_difference
from .families import overall_column
from .pairing import common_scenes, left_out, uncertain_causes, uncertain_episodes, whole_run


@dataclass(frozen=True, slots=True)
class RankedRun:
    """One run in a ranking."""

    run: StoredRun
    rate: Rate
    rank: int
    """1 + the number of runs that are significantly better; equal ranks need not be equally good."""
    letters: str
    """Runs that share a letter cannot be distinguished."""
    errors: Mapping[str, int]
    """Uncertain episodes by cause; they count against the run where it seems better, for it where it seems worse."""
    left_out: int
    """Episodes of its overall mean in scenes that not all runs have."""
    short: tuple[str, ...]
    """Ways in which the run falls short of its plan."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "rank": self.rank,
            "letters": self.letters.split(),
            "run": self.run.name,
            **self.rate.to_json(),
            "errors": dict(self.errors),
            "left_out": self.left_out,
            "short": list(self.short),
        }


@dataclass(frozen=True, slots=True)
class PairwiseComparison:
    """Two of the runs; the difference is the second's rate minus the first's."""

    a: StoredRun
    b: StoredRun
    difference: Difference
    """Difference whose interval is one of the simultaneous ones of all pairs."""
    p: float
    """Corrected for the number of pairs (Holm)."""
    condition_differences: tuple[ConditionDifference, ...]
    """Conditions besides the policy in which the two differ."""

    @property
    def settled(self) -> bool:
        """Whether one of the two is better, corrected for all pairs."""
        return self.p <= LEVEL

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "a": self.a.name,
            "b": self.b.name,
            "difference": asdict(self.difference),
            "p_holm": self.p,
            "unlike": [asdict(difference) for difference in self.condition_differences],
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """Several runs, best first."""

    ranked: tuple[RankedRun, ...]
    pairs: tuple[PairwiseComparison, ...]
    layout: Layout
    column: Column
    """The ranking criterion."""
    part: str
    """The part of it that all have evaluated; empty for the whole."""
    others: tuple[str, ...]
    """Suites of some runs that are not in the mean."""
    runs: tuple[StoredRun, ...]
    """In the order given."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; `p_holm` is a matrix in the order of `runs`."""
        places = {id(run): place for place, run in enumerate(self.runs)}
        p_values = [[1.0] * len(self.runs) for _ in self.runs]
        for pair in self.pairs:
            i, j = places[id(pair.a)], places[id(pair.b)]
            p_values[i][j] = p_values[j][i] = pair.p
        return {
            "by": self.column.name,
            "part": self.part,
            "others": list(self.others),
            "standings": [ranked.to_json() for ranked in self.ranked],
            "runs": [run.name for run in self.runs],
            "p_holm": p_values,
            "pairs": [pair.to_json() for pair in self.pairs],
        }


def rank(runs: Sequence[StoredRun], *, anyway: bool = False, perturbation: str = "") -> Ranking:
    """The runs ranked by their overall mean over the scenes of all; p-values corrected over all pairs (Holm).

    By episodes without a perturbation, or by those under the named one.

    Raises ValueError if they have no scene in common, Incomparable if the conditions of two of them forbid a verdict, unless
    `anyway`.
    """
    groups = [whole_run(run, perturbation) for run in runs]
    sides = list(combinations(range(len(runs)), 2))
    unlike = [require_comparable_groups(groups[i], groups[j], anyway=anyway) for i, j in sides]
    kept = common_scenes(groups)
    layout, column = overall_column(kept)
    level = simultaneous(len(sides))
    found = [worst_difference(readings(kept[i], kept[j], layout, column, "success"), level) for i, j in sides]
    corrected = holm([one.p for one in found])
    pairs = [
        PairwiseComparison(runs[i], runs[j], align_with_test(one, settled=p <= LEVEL), p, tuple(conditions))
        for (i, j), one, p, conditions in zip(sides, found, corrected, unlike, strict=True)
    ]
    better = np.zeros((len(runs), len(runs)), bool)
    for (i, j), pair in zip(sides, pairs, strict=True):
        better[i, j], better[j, i] = pair.settled and pair.difference.mean < 0, pair.settled and pair.difference.mean > 0
    ranked = _ranked_runs(groups, kept, layout, column, better)
    others = tuple(
        sorted(
            {suite for group in groups for suite in group.suites}
            - {one.suite for one in component_columns(layout, column, "success")}
        )
    )
    return Ranking(ranked, tuple(pairs), layout, column, compared_part(layout, column, "success", kept), others, tuple(runs))


def _ranked_runs(
    groups: Sequence[Group], kept: Sequence[Group], layout: Layout, column: Column, better: np.ndarray
) -> tuple[RankedRun, ...]:
    rates = [rate(group, layout, column) for group in kept]
    places = ranks(better)
    order = sorted(range(len(kept)), key=lambda i: (places[i], -_mean(rates[i])))
    groups_of_equals = letters(better | better.T, order)
    return tuple(_ranked_run(groups[i], kept[i], layout, column, rates[i], places[i], groups_of_equals[i]) for i in order)


def _mean(found: Rate | None) -> float:
    return found.low.mean if found else 0.0


def _ranked_run(
    group: Group, kept: Group, layout: Layout, column: Column, found: Rate | None, place: int, equals: str
) -> RankedRun:
    assert found is not None  # the column is filled
    causes = uncertain_causes(uncertain_episodes(kept, layout, column, "success"), kept, "success")
    return RankedRun(
        run=group.run,
        rate=found,
        rank=place,
        letters=equals,
        errors={name: count for name, count in causes.items() if not name.startswith("other_")},
        left_out=left_out(group, kept, layout, column, "success"),
        short=tuple(shortcomings(group.run)),
    )
