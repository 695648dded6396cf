"""What `nora-bench compare` found, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .verdicts import short, winner

if TYPE_CHECKING:
    from ...results.grouping import Rate
    from ...results.statistics.agreement import Agreement
    from ...results.statistics.comparison import ColumnComparison, Comparison
    from ...results.statistics.noninferiority import NoninferiorityResult
    from ...results.statistics.standings import Ranking
    from ...results.store.reader import StoredRun


def comparison_json(found: Comparison) -> dict[str, Any]:
    """JSON-able."""
    prefixes = ("policy setting ", "policy argument ")
    return {
        "a": found.a.name,
        "b": found.b.name,
        "short": {"a": short(found.a), "b": short(found.b)},
        "unlike": [asdict(one) for one in found.condition_differences],
        "settings": {
            one.name.removeprefix(prefix): [one.a, one.b]
            for one in found.condition_differences
            for prefix in prefixes
            if one.name.startswith(prefix)
        },
        "others": list(found.others),
        "matches": [_match_json(match) for match in found.columns],
    }


def _match_json(match: ColumnComparison) -> dict[str, Any]:
    return {
        "column": match.column.name,
        "metric": match.metric.name,
        "suite": match.suite,
        "part": match.part,
        "a": rate_json(match.a),
        "b": rate_json(match.b),
        "difference": asdict(match.difference),
        "p_holm": match.p,
        "family": match.family,
        "level": match.level,
        "better": match.better,
        "verdict": match.verdict,
        "errors": {"a": dict(match.errors_a), "b": dict(match.errors_b)},
        "left_out": {"a": match.only_a, "b": match.only_b},
        "states_available": match.available,
        "flipped": [{"a": one.a.key, "b": one.b.key, "won_by": winner(one)} for one in match.flipped],
    }


def rate_json(rate: Rate) -> dict[str, Any]:
    """Its least mean with bounds that hold however uncertain episodes ended; `upper` is the largest mean."""
    low, high = rate.bounds
    k, n, effective = rate.low.k, rate.low.n, rate.low.effective
    upper = {"upper": rate.high.mean, "uncertain": rate.uncertain}
    return {"mean": rate.low.mean, "low": low, "high": high, "k": k, "n": n, "effective": effective, **upper}


def not_worse_json(name: str, part: str, found: NoninferiorityResult) -> dict[str, Any]:
    """JSON-able."""
    return {"by": name, "part": part, **asdict(found)}


def ranking_json(found: Ranking, runs: Sequence[StoredRun]) -> dict[str, Any]:
    """JSON-able; `p_holm` in the order of `runs`."""
    places = {id(run): place for place, run in enumerate(runs)}
    p_values = [[1.0] * len(runs) for _ in runs]
    for duel in found.pairs:
        i, j = places[id(duel.a)], places[id(duel.b)]
        p_values[i][j] = p_values[j][i] = duel.p
    return {
        "by": found.column.name,
        "part": found.part,
        "others": list(found.others),
        "standings": [
            {
                "rank": one.rank,
                "letters": one.letters.split(),
                "run": one.run.name,
                **rate_json(one.rate),
                "errors": dict(one.errors),
                "left_out": one.left_out,
                "short": list(one.short),
            }
            for one in found.ranked
        ],
        "runs": [run.name for run in runs],
        "p_holm": p_values,
        "pairs": [
            {
                "a": duel.a.name,
                "b": duel.b.name,
                "difference": asdict(duel.difference),
                "p_holm": duel.p,
                "unlike": [asdict(one) for one in duel.condition_differences],
            }
            for duel in found.pairs
        ],
    }


def agreement_json(found: Agreement) -> dict[str, Any]:
    """JSON-able; coefficients that are not defined are null."""
    coefficients = {name: asdict(one) if one else None for name, one in found.coefficients.items()}
    simulated, real = ([rate_json(one) for one in side] for side in (found.simulated, found.real))
    return {"policies": list(found.names), **coefficients, "reason": found.reason, "simulated": simulated, "robot": real}
