"""Reports of `nora-bench compare` as values: two runs column by column, or several ranked and correlated with the robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..failures.classify import class_changes
from ..store.reader import StoredRun
from .agreement import Agreement, agreement
from .comparison import Comparison, compare
from .noninferiority import NoninferiorityResult, noninferiority_test
from .standings import Ranking, rank


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Two runs compared."""

    comparison: Comparison
    noninferiority: NoninferiorityResult | None = None
    """None unless a margin was given."""
    failures: Mapping[str, Any] = field(default_factory=dict)
    """Failure classes that B fixed and brought (`failures.classify.class_changes`)."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        tested = {"not_worse": self.noninferiority.to_json()} if self.noninferiority else {}
        return {**self.comparison.to_json(), **tested, "failures": dict(self.failures)}


@dataclass(frozen=True, slots=True)
class RankingReport:
    """Several runs ranked."""

    ranking: Ranking
    agreement: Agreement | None = None
    """Agreement with the robot; None unless trials were given."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {**self.ranking.to_json(), "real": self.agreement.to_json() if self.agreement else None}


def report_comparison(
    a: StoredRun, b: StoredRun, *, margin: float | None = None, anyway: bool = False, perturbation: str = ""
) -> ComparisonReport:
    """Two runs compared on the initial states that both evaluated.

    Args:
        a: first run.
        b: second run; differences are B minus A.
        margin: largest loss that counts as no worse, a fraction; None omits that test.
        anyway: compare runs of different conditions too.
        perturbation: compare the episodes of both under this one; empty for those without any.

    Raises ValueError if they have no scene in common, Incomparable if their conditions forbid a verdict.
    """
    _require_episodes((a, b), perturbation)
    comparison = compare(a, b, anyway=anyway, perturbation=perturbation)
    if not comparison.columns:
        raise ValueError(
            f"{a.name} and {b.name} have no scene in common: run both with the same --suite, --tasks, --init-states and --seeds"
        )
    tested = None if margin is None else noninferiority_test(a, b, margin, anyway=anyway, perturbation=perturbation)
    return ComparisonReport(comparison, tested, class_changes(a, b, perturbation))


def _require_episodes(runs: Sequence[StoredRun], perturbation: str) -> None:
    """Raise ValueError for a run that has perturbed episodes, but none under the chosen perturbation (empty: without any)."""
    for run in runs:
        found = dict.fromkeys(record.perturbation for record in run.records)
        if perturbation in found or not (perturbation or any(found)):
            continue
        known = ", ".join(filter(None, found)) or "none"
        lacking = f"perturbation {perturbation}" if perturbation else "episodes without a perturbation"
        raise ValueError(
            f"{run.name} has no {lacking} (its perturbations: {known}). Add --perturbation NAME to compare episodes under one; "
            "`nora-bench table robust RUN` compares them with their controls"
        )


def report_ranking(
    runs: Sequence[StoredRun], real: Sequence[StoredRun] = (), *, anyway: bool = False, perturbation: str = ""
) -> RankingReport:
    """The runs ranked, and correlated with trials of the same policies on the robot. Raises as `rank` and `agreement` do."""
    _require_episodes(runs, perturbation)
    ranking = rank(runs, anyway=anyway, perturbation=perturbation)
    return RankingReport(ranking, agreement(runs, real, anyway=anyway) if real else None)
