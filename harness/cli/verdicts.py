"""Text of `nora-bench compare`, wrapped to the terminal without cutting names."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...results.comparisons.agreement import Agreement
    from ...results.comparisons.comparison import ColumnComparison, Comparison
    from ...results.comparisons.noninferiority import NoninferiorityResult
    from ...results.comparisons.standings import RankedRun, Ranking
    from ...results.conditions import ConditionDifference
    from ...results.rates import Rate
    from ...results.store.reader import StoredRun

SHOWN = 10
"""Flipped episodes listed per column without --flips."""


def wrapped(fields: Iterable[str], indent: str = "  ") -> Iterator[str]:
    """The fields in as few lines as the terminal's width allows; no field is split."""
    width, line = shutil.get_terminal_size((80, 24)).columns, ""
    for field in fields:
        if line and len(indent) + len(line) + 2 + len(field) > width:
            yield indent + line
            line = ""
        line = f"{line}  {field}" if line else field
    if line:
        yield indent + line


def paragraph(text: str, indent: str = "") -> Iterator[str]:
    """Text wrapped at spaces to the terminal's width."""
    import textwrap

    width = shutil.get_terminal_size((80, 24)).columns
    first, rest = indent, indent + "  "
    yield from textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def percent(value: float, sign: str = "") -> str:
    """`95.0`, `+1.2`; never `-0.0`."""
    return f"{100 * value + 0.0 if abs(value) >= 5e-4 else 0.0:{sign}.1f}"


def rate_text(rate: Rate) -> str:
    """`95.0 [92.7, 96.7]`; `90.5 to 100.0 [88.9, 100.0]` with uncertain episodes."""
    low, high = rate.bounds
    ends = dict.fromkeys((percent(rate.low.mean), percent(rate.high.mean)))
    return f"{' to '.join(ends)} [{percent(low)}, {percent(high)}]"


def p_text(p: float) -> str:
    """`p = 0.012`, or `p < 0.0001`."""
    from ...results.statistics.paired_test import p_text

    return p_text(p)


def comparison_lines(found: Comparison, *, flips: bool) -> Iterator[str]:
    """Both runs, their other differences, one block per column, and the episodes that ended differently."""
    from ...results.comparisons.comparison import shortcomings

    for label, run in (("A", found.a), ("B", found.b)):
        yield from paragraph(f"{label}: {title(run)}")
        yield from (f"   {text}" for text in shortcomings(run))
    if found.perturbation:
        yield from paragraph(f"Episodes of both under perturbation {found.perturbation}.")
    yield from condition_lines(found.condition_differences)
    for column in found.columns:
        yield ""
        yield from column_lines(column)
    yield ""
    if found.others:
        yield from paragraph(f"Not compared, because only one run has it: {', '.join(found.others)}.")
    yield from paragraph(_footnote(found.columns))
    for column in found.columns:
        yield from _flip_lines(column, everything=flips)


def title(run: StoredRun) -> str:
    """Name of a run, with the policies, protocols and backends of its episodes."""
    names = sorted({", ".join(filter(None, (record.policy, record.protocol, record.backend))) for record in run.records})
    return f"{run.name} ({'; '.join(names)})"


def class_counts(classes: Mapping[str, int]) -> str:
    """`never reached 3, out of time 1`; `none`."""
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in classes.items()) or "none"


def class_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Failure classes of a run, in all and per task."""
    from ...results.failures.classify import UNKNOWN

    yield from paragraph(f"failures   {class_counts(found['classes'])} (rules version {found['version']})")
    for task in found["tasks"]:
        yield from paragraph(f"{task['suite']} {task['task_id']} {task['task']}: {class_counts(task['classes'])}", "  ")
    if UNKNOWN in found["classes"]:
        yield from paragraph("unknown: recorded without features. Type: nora-bench failures RUN --replay", "  ")


def change_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Failure classes of the episodes that ended differently; nothing where none did."""
    if not (found["fixed"] or found["new"] or found["changed"]):
        return
    yield ""
    yield from paragraph(f"Failures of A where B succeeded: {class_counts(found['fixed'])}")
    yield from paragraph(f"Failures of B where A succeeded: {class_counts(found['new'])}")
    changed = (f"{one['a']} to {one['b']} {one['episodes']}".replace("_", " ") for one in found["changed"])
    if text := ", ".join(changed):
        yield from paragraph(f"Both failed, in another class: {text}")


def condition_lines(condition_differences: Sequence[ConditionDifference]) -> Iterator[str]:
    """Conditions besides the policy in which two runs differ."""
    if condition_differences:
        yield from paragraph("! besides the policies, the runs differ in:")
    for one in condition_differences:
        yield from paragraph(one.text + (" (no verdict without --anyway)" if one.refused else ""), "  ")


def column_lines(column: ColumnComparison) -> Iterator[str]:
    """One column: both rates, their difference, the verdict, and uncertain episodes."""
    found = column.difference
    yield from paragraph(column.name + (f" ({column.part})" if column.part else ""))
    means = dict.fromkeys(percent(mean, "+") for mean in found.means)
    difference = f"B - A {' to '.join(means)} [{percent(found.low, '+')}, {percent(found.high, '+')}]"
    yield from wrapped([f"A {rate_text(column.a)}", f"B {rate_text(column.b)}", difference])
    scenes = (
        f"{found.scenes} initial states: {found.gained} for B, {found.lost} for A"
        if column.paired
        else f"not paired: {column.a.low.clusters} initial states of A, {column.b.low.clusters} others of B"
    )
    yield from wrapped([f"{p_text(column.p)}: {column.verdict}", scenes])
    yield from _open_lines(column)
    if not column.better:
        yield from paragraph(outlook(column), "  ")


def _open_lines(column: ColumnComparison) -> Iterator[str]:
    for own, other, errors in (("A", "B", column.errors_a), ("B", "A", column.errors_b)):
        if errors:
            causes = ", ".join(f"{name} {count}" for name, count in errors.items() if not name.startswith("other_"))
            ends = ", ".join(
                f"{name.removeprefix('other_')} in {count}" for name, count in errors.items() if name.startswith("other_")
            )
            yield from paragraph(
                f"{own}'s episodes that could have ended either way: {causes}"
                + (f"; in their scenes {other} {ends}" if ends else ""),
                "  ",
            )
    for own, other, count in (("A", "B", column.only_a), ("B", "A", column.only_b)):
        if count:
            yield from paragraph(
                f"omitted: {count} episodes of {own} in {'scenes' if column.paired else 'tasks'} that {other} lacks", "  "
            )


def outlook(column: ColumnComparison) -> str:
    """Initial states that would settle an open comparison, as text."""
    found = column.difference
    if found.scenes_needed is None:
        return "open: the number of initial states that would settle it is unknown"
    words = (
        f"open: if the true difference were {percent(found.mean, '+')}, about {found.scenes_needed} initial states would show it "
        "with 80 % power"
    )
    if not column.paired:
        return f"{words} in each run"
    if column.available is not None and found.scenes_needed > column.available:
        return f"{words}: more than the benchmark has ({column.available})"
    return f"{words}: {column.missing_states} more than were run"


def _footnote(columns: Sequence[ColumnComparison]) -> str:
    family = max(column.family for column in columns)
    together = f"the {family} columns of a table" if family > 1 else "one column"
    paired = all(column.paired for column in columns)
    test = "exact test paired by initial state" if paired else "exact test of two independent samples per task"
    text = (
        f"Rates with individual 95 % intervals; differences with simultaneous intervals for {together}, {test}, p corrected "
        "over the columns (Holm). Episodes that could have ended either way count against the apparent winner."
    )
    if not paired:
        text = f"The runs have no initial state in common, so nothing is paired. {text}"
    if any(not column.better for column in columns):
        text += " Before a longer run: `nora-bench plan --from RUN`."
    return text


def _flip_lines(column: ColumnComparison, *, everything: bool) -> Iterator[str]:
    if not column.flipped:
        return
    shown = column.flipped if everything else column.flipped[:SHOWN]
    yield ""
    yield f"{column.name}: {len(column.flipped)} episodes ended differently"
    yield from (f"  success of {one.winner.upper()} only: {(one.b if one.difference > 0 else one.a).key}" for one in shown)
    if len(shown) < len(column.flipped):
        yield f"  and {len(column.flipped) - len(shown)} more: add --flips"


def not_worse_lines(found: NoninferiorityResult) -> Iterator[str]:
    """Result of `--no-worse-than`."""
    where = f"{found.by} ({found.part})" if found.part else found.by
    yield from paragraph(
        f"{where}: B - A {percent(found.mean, '+')}, at least {percent(found.low, '+')} (one-sided 95 %) on {found.scenes} "
        f"initial states: B is {'' if found.shown else 'not '}shown to be no worse than A by {100 * found.margin:g} points"
    )
    if found.missing:
        yield from paragraph(f"B lacks {found.missing} scenes of A; without them noninferiority is not shown.")


def ranking_lines(found: Ranking) -> Iterator[str]:
    """One block per run, best first, and notes on the ranking."""
    yield from paragraph(f"Ranked by {found.column.name}" + (f" ({found.part})" if found.part else ""))
    for one in found.ranked:
        yield from wrapped([f"{one.rank:2}", one.letters, rate_text(one.rate), one.run.name], "")
        yield from (line for text in _standing_notes(one) for line in paragraph(text, "      "))
    yield from paragraph(
        "Runs that share a letter cannot be distinguished; the rank is 1 + the number of better runs (exact tests paired "
        "by initial state over all pairs, Holm). Episodes that could have ended either way count against the apparent winner."
    )
    if found.others:
        yield from paragraph(f"Not in this mean (missing in some runs, or in another table): {', '.join(found.others)}.")
    for pair in found.pairs:
        if pair.condition_differences:
            yield from paragraph(f"! {pair.a.name} (A) and {pair.b.name} (B) also differ in:")
            yield from (line for one in pair.condition_differences for line in paragraph(one.text, "  "))


def _standing_notes(one: RankedRun) -> Iterator[str]:
    yield from one.short
    if one.errors:
        yield "could have ended either way: " + ", ".join(f"{name} {count}" for name, count in one.errors.items())
    if one.left_out:
        yield f"omitted: {one.left_out} episodes in scenes that not all runs have"


NAMES: Mapping[str, str] = {"pearson": "Pearson", "spearman": "Spearman", "mmrv": "mean maximum rank violation"}


def agreement_lines(found: Agreement) -> Iterator[str]:
    """Agreement of simulation and robot."""
    yield from paragraph(f"Simulation against robot over {len(found.names)} policies: {', '.join(found.names)}")
    for name, one in found.coefficients.items():
        if one is not None:
            yield f"  {NAMES[name]} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
    if found.reason:
        yield from paragraph(f"undefined: {found.reason}", "  ")
