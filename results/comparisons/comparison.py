"""Comparison of two runs, column by column of the table that fits them: one family of hypotheses, one set of weights.

Paired by initial state; runs without a common one are compared as independent samples of each task (`statistics.unpaired_test`).

The row of differences of `table`, `compare` and the report all use `compare_columns`, so that they cannot disagree. Episodes that
could have ended either way count against the apparent winner: a verdict holds however they ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..conditions import ConditionDifference, conditions, differences, require_comparable
from ..coverage import Shortfall, part_label, shortfall, unfinished
from ..grouping import Group, component_columns, episodes
from ..layouts import Column, Layout, Metric
from ..rates import Rate, rate, task_samples
from ..statistics.paired_test import (
    Difference,
    align_with_test,
    difference,
    holm,
    over_both_readings,
    simultaneous,
)
from ..statistics.ranking import LEVEL
from ..statistics.unpaired_test import unpaired_difference
from ..store.reader import StoredRun
from ..store.records import EpisodeRecord
from .families import families, filled
from .pairing import (
    AGAINST_A,
    AGAINST_B,
    RECORDED,
    EpisodePair,
    all_causes,
    common_scenes,
    common_tasks,
    flips,
    left_out,
    task_differences,
    uncertain_causes,
    uncertain_episodes,
    whole_run,
)

REMEDY = (
    "Rerun one of them under the other's conditions (`nora-bench run` with the same --protocol, --max-steps and --assets), "
    "or add --anyway to compare them regardless"
)


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """Two runs in one column, on the initial states of both."""

    column: Column
    metric: Metric
    a: Rate
    """Rate of the first run, in the scenes of both."""
    b: Rate
    difference: Difference
    """B minus A; its interval is one of `family` simultaneous ones, consistent with the verdict."""
    p: float
    """Corrected for the number of columns (Holm)."""
    family: int
    """Number of columns compared together."""
    level: float
    """Level of this interval alone, at which all hold simultaneously with 95 %."""
    part: str
    """The compared part of the column, `tasks 0-4`; empty for the whole."""
    errors_a: Mapping[str, int]
    """Uncertain episodes of the first run by cause and by the second run's outcome (`pairing.uncertain_causes`)."""
    errors_b: Mapping[str, int]
    only_a: int
    """Episodes of the column that only the first run has, omitted here."""
    only_b: int
    flipped: tuple[EpisodePair, ...]
    """Episodes that ended differently under the same seed."""
    available: int | None
    """Initial states that the benchmark has for this column; None if unknown."""
    paired: bool = True
    """Whether the difference is paired by initial state; else each is an independent sample per task (`unpaired_test`)."""

    @property
    def name(self) -> str:
        """Name of the column, with the metric unless it is success."""
        named = self.column.name
        return named if self.metric.name == "success" else f"{named}, {self.metric.name}"

    @property
    def suite(self) -> str:
        """The suite of the column; its name for a mean of several."""
        return self.column.suite or self.column.name

    @property
    def settled(self) -> bool:
        """Whether one of the two is better, corrected for all columns."""
        return self.p <= LEVEL

    @property
    def better(self) -> str:
        """`A`, `B`, or empty if no difference is shown."""
        if not self.settled:
            return ""
        return "B" if (self.difference.mean > 0) == (self.metric.better == "higher") else "A"

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return f"{self.better} is better" if self.better else "no difference shown"

    @property
    def missing_states(self) -> int | None:
        """Further initial states that would settle a difference of this size (80 % power); None if unknown."""
        needed = self.difference.scenes_needed
        return None if needed is None else max(0, needed - (self.difference.scenes if self.paired else self.b.low.clusters))

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "column": self.column.name,
            "metric": self.metric.name,
            "suite": self.suite,
            "part": self.part,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "difference": asdict(self.difference),
            "p_holm": self.p,
            "paired": self.paired,
            "family": self.family,
            "level": self.level,
            "better": self.better,
            "verdict": self.verdict,
            "errors": {"a": dict(self.errors_a), "b": dict(self.errors_b)},
            "left_out": {"a": self.only_a, "b": self.only_b},
            "states_available": self.available,
            "flipped": [{"a": pair.a.key, "b": pair.b.key, "won_by": pair.winner} for pair in self.flipped],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs in all columns that both evaluated."""

    a: StoredRun
    b: StoredRun
    columns: tuple[ColumnComparison, ...]
    condition_differences: tuple[ConditionDifference, ...]
    """Conditions besides the policy in which they differ."""
    others: tuple[str, ...]
    """Suites that only one of them has."""
    perturbation: str = ""
    """Perturbation of the compared episodes; empty for none."""

    @property
    def settings(self) -> dict[str, list[Any]]:
        """Settings and arguments of the policies that differ: name -> values in A and B."""
        return {
            difference.name.removeprefix(prefix): [difference.a, difference.b]
            for difference in self.condition_differences
            for prefix in ("policy setting ", "policy argument ")
            if difference.name.startswith(prefix)
        }

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "a": self.a.name,
            "b": self.b.name,
            "short": {"a": shortcomings(self.a), "b": shortcomings(self.b)},
            "unlike": [asdict(difference) for difference in self.condition_differences],
            "settings": self.settings,
            "others": list(self.others),
            "perturbation": self.perturbation,
            "matches": [column.to_json() for column in self.columns],
        }


def shortcomings(run: StoredRun) -> list[str]:
    """Ways in which a run falls short of its plan: interrupted, stopped early, cut at fewer steps."""
    return list(unfinished(conditions(run)))


def compare(a: StoredRun, b: StoredRun, *, anyway: bool = False, perturbation: str = "") -> Comparison:
    """One comparison per column of the tables with the suites of both; no columns without a common initial state.

    Like with like: episodes without a perturbation, or those of both under the named one.

    Raises Incomparable if their conditions forbid a verdict, unless `anyway`.
    """
    groups = whole_run(a, perturbation), whole_run(b, perturbation)
    differing = require_comparable_groups(*groups, anyway=anyway)
    tables = [_compare(layout, *groups) for layout in families(groups)]
    columns = tuple(column for table in tables for column in table.values())
    others = tuple(sorted(groups[0].suites.keys() ^ groups[1].suites.keys()))
    return Comparison(a, b, columns, tuple(differing), others, perturbation)


def compare_columns(
    layout: Layout, a: Group, b: Group, *, anyway: bool = False
) -> tuple[dict[tuple[str, str], ColumnComparison], list[ConditionDifference]]:
    """(column, metric) -> comparison for every column that both groups fill, and the conditions in which they differ.

    Raises Incomparable if those forbid a verdict, unless `anyway`.
    """
    differing = require_comparable_groups(a, b, anyway=anyway)
    return _compare(layout, a, b), differing


def require_comparable_groups(a: Group, b: Group, *, anyway: bool) -> list[ConditionDifference]:
    """The conditions in which two groups differ. Raises Incomparable if those forbid a verdict, unless `anyway`."""
    differing = differences(conditions(a.run, a.records), conditions(b.run, b.records))
    if anyway or not any(difference.refused for difference in differing):
        return differing
    runs = [replace(group.run, records=tuple(group.records)) for group in (a, b)]
    return require_comparable(runs[0], runs[1], REMEDY)


def _compare(layout: Layout, a: Group, b: Group) -> dict[tuple[str, str], ColumnComparison]:
    kept = common_scenes((a, b))
    paired = any(group.records for group in kept)
    kept = kept if paired else common_tasks((a, b))
    keys = [(column, metric) for metric in layout.metrics for column in filled(layout, kept, metric)]
    differences = _differences(kept, layout, keys, paired=paired)
    corrected = holm([one.p for one in differences.values()])
    return {
        (column.name, metric.name): _column_comparison(
            (a, b), kept, layout, column, metric, align_with_test(one, settled=p <= LEVEL), p, len(differences), paired=paired
        )
        for ((column, metric), one), p in zip(differences.items(), corrected, strict=True)
    }


Keys = Sequence[tuple[Column, Metric]]


def _differences(kept: Sequence[Group], layout: Layout, keys: Keys, *, paired: bool) -> dict[tuple[Column, Metric], Difference]:
    """Differences of the columns that both groups fill, with simultaneous intervals."""
    a, b = kept
    tested = {(column, metric): readings(a, b, layout, column, metric.name, paired=paired) for column, metric in keys}
    complete = {key: found for key, found in tested.items() if all(found)}
    level = simultaneous(len(complete)) if complete else 0.0
    return {key: worst_difference(found, level, paired=paired) for key, found in complete.items()}


def readings(a: Group, b: Group, layout: Layout, column: Column, metric: str, *, paired: bool = True) -> list[list[Any]]:
    """The column's differences (or independent samples) per task: as recorded, or, with uncertain episodes, once with them
    counted against B and once against A."""
    any_uncertain = any(uncertain_episodes(group, layout, column, metric) for group in (a, b))
    read = task_differences if paired else task_samples
    return [read(a, b, layout, column, metric, how) for how in ((AGAINST_B, AGAINST_A) if any_uncertain else (RECORDED,))]


def worst_difference(found: Sequence[Sequence[Any]], level: float = 0.95, *, paired: bool = True) -> Difference:
    """The difference that holds in all of `readings`."""
    test = difference if paired else unpaired_difference
    each = [test(tasks, level) for tasks in found]
    return over_both_readings(each[0], each[-1])


def _column_comparison(
    groups: Sequence[Group],
    kept: Sequence[Group],
    layout: Layout,
    column: Column,
    metric: Metric,
    found: Difference,
    p: float,
    family: int,
    *,
    paired: bool,
) -> ColumnComparison:
    a, b = kept
    rates = [rate(group, layout, column, metric.name) for group in kept]
    assert rates[0] is not None and rates[1] is not None  # the column is filled
    errors = [uncertain_episodes(group, layout, column, metric.name) for group in kept]
    return ColumnComparison(
        column=column,
        metric=metric,
        a=rates[0],
        b=rates[1],
        difference=found,
        p=p,
        family=family,
        level=simultaneous(family),
        part=compared_part(layout, column, metric.name, kept) if paired else _parts(layout, column, metric.name, kept),
        errors_a=uncertain_causes(errors[0], b, metric.name) if paired else all_causes(errors[0]),
        errors_b=uncertain_causes(errors[1], a, metric.name) if paired else all_causes(errors[1]),
        only_a=left_out(groups[0], a, layout, column, metric.name),
        only_b=left_out(groups[1], b, layout, column, metric.name),
        flipped=flips(a, b, layout, column, metric.name) if paired and not column.mean_of else (),
        available=_available(layout, column, metric.name, a),
        paired=paired,
    )


def _parts(layout: Layout, column: Column, metric: str, kept: Sequence[Group]) -> str:
    """The part of the column behind each rate, `A: 10 of 50 initial states, B: fresh initial states 0-9`."""
    labels = [compared_part(layout, column, metric, [group]) or "all" for group in kept]
    return ", ".join(f"{name}: {label}" for name, label in zip("AB", labels, strict=True))


def compared_part(layout: Layout, column: Column, metric: str, kept: Sequence[Group]) -> str:
    """The compared part of the column, `tasks 0-4`, or of the columns behind a mean; empty for the whole.

    The groups have the same scenes, so they can differ only in whether a group has equal seeds in all of them; if one has not,
    the label says so.
    """
    return max(
        (part_label([_lacking(group, one) for one in component_columns(layout, column, metric)]) for group in kept), key=len
    )


def _lacking(kept: Group, column: Column) -> Shortfall:
    """The missing part of a column; none for a column that no paper has."""
    return shortfall(kept, column if column.n else replace(column, n=len(episodes(kept, column))))


def _available(layout: Layout, column: Column, metric: str, kept: Group) -> int | None:
    parts = component_columns(layout, column, metric)
    counts = [part.states * max(part.task_count, _evaluated_parts(episodes(kept, part))) for part in parts]
    return sum(counts) if all(counts) else None


def _evaluated_parts(records: Iterable[EpisodeRecord]) -> int:
    return len({(record.task, record.part) for record in records})
