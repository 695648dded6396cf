"""What `nora-bench compare` found, as text that fits a terminal of 80 columns without cutting a name."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...results.conditions import ConditionDifference
    from ...results.grouping import Rate
    from ...results.statistics.agreement import Agreement
    from ...results.statistics.comparison import ColumnComparison, Comparison
    from ...results.statistics.noninferiority import NoninferiorityResult
    from ...results.statistics.standings import RankedRun, Ranking
    from ...results.store.reader import StoredRun

SHOWN = 10
"""Flipped episodes listed for each column unless all are asked for."""


def wrapped(fields: Iterable[str], indent: str = "  ") -> Iterator[str]:
    """The fields in as few lines as the terminal's width allows; none is parted, whatever its length."""
    width, line = shutil.get_terminal_size((80, 24)).columns, ""
    for field in fields:
        if line and len(indent) + len(line) + 2 + len(field) > width:
            yield indent + line
            line = ""
        line = f"{line}  {field}" if line else field
    if line:
        yield indent + line


def prose(text: str, indent: str = "") -> Iterator[str]:
    """A sentence, broken at spaces where the terminal ends."""
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
    """`95.0 [92.7, 96.7]`; `90.5 to 100.0 [88.9, 100.0]` where episodes could have ended either way."""
    low, high = rate.bounds
    ends = dict.fromkeys((percent(rate.low.mean), percent(rate.high.mean)))
    return f"{' to '.join(ends)} [{percent(low)}, {percent(high)}]"


def p_text(p: float) -> str:
    """`p = 0.012`, or `p < 0.0001`."""
    from ...results.statistics.paired_test import p_text

    return p_text(p)


def comparison_lines(found: Comparison, *, flips: bool) -> Iterator[str]:
    """Both runs, in what else they differ, one block for each column, and the episodes that ended differently."""
    from ...results.statistics.comparison import shortcomings

    for label, run in (("A", found.a), ("B", found.b)):
        yield from prose(f"{label}: {title(run)}")
        yield from (f"   {text}" for text in shortcomings(run))
    yield from unlike_lines(found.condition_differences)
    for match in found.columns:
        yield ""
        yield from match_lines(match)
    yield ""
    if found.others:
        yield from prose(f"Not compared, because only one of them played it: {', '.join(found.others)}.")
    yield from prose(_footnote(found.columns))
    for match in found.columns:
        yield from _flip_lines(match, everything=flips)


def title(run: StoredRun) -> str:
    """Its name, and the policies, protocols and backends of its episodes."""
    names = sorted({", ".join(filter(None, (record.policy, record.protocol, record.backend))) for record in run.records})
    return f"{run.name} ({'; '.join(names)})"


def unlike_lines(unlike: Sequence[ConditionDifference]) -> Iterator[str]:
    """Conditions besides the policy in which two runs differ."""
    if unlike:
        yield from prose("! the difference is not the policies' alone; the runs also differ in:")
    for one in unlike:
        yield from prose(one.text + (" (no verdict without --anyway)" if one.refused else ""), "  ")


def match_lines(match: ColumnComparison) -> Iterator[str]:
    """One column: both rates, their difference, the verdict, and what is left open."""
    found = match.difference
    yield from prose(match.name + (f" ({match.part})" if match.part else ""))
    means = dict.fromkeys(percent(mean, "+") for mean in found.means)
    difference = f"B - A {' to '.join(means)} [{percent(found.low, '+')}, {percent(found.high, '+')}]"
    yield from wrapped([f"A {rate_text(match.a)}", f"B {rate_text(match.b)}", difference])
    scenes = f"{found.scenes} initial states: {found.gained} for B, {found.lost} for A"
    yield from wrapped([f"{p_text(match.p)}: {match.verdict}", scenes])
    yield from _open_lines(match)
    if not match.better:
        yield from prose(outlook(match), "  ")


def _open_lines(match: ColumnComparison) -> Iterator[str]:
    for own, other, errors in (("A", "B", match.errors_a), ("B", "A", match.errors_b)):
        if errors:
            causes = ", ".join(f"{name} {count}" for name, count in errors.items() if not name.startswith("other_"))
            ends = ", ".join(
                f"{name.removeprefix('other_')} in {count}" for name, count in errors.items() if name.startswith("other_")
            )
            yield from prose(f"{own}'s episodes that could have ended either way: {causes}; in their scenes {other} {ends}", "  ")
    for own, other, count in (("A", "B", match.only_a), ("B", "A", match.only_b)):
        if count:
            yield from prose(f"left out: {count} episodes of {own} in scenes that {other} did not play", "  ")


def outlook(match: ColumnComparison) -> str:
    """How many initial states would settle what is open."""
    found = match.difference
    if found.scenes_needed is None:
        return "open: no number of further initial states is known to part them"
    words = (
        f"open: were the true difference {percent(found.mean, '+')}, about {found.scenes_needed} initial states would show it "
        "with 80 % power"
    )
    if match.available is not None and found.scenes_needed > match.available:
        return f"{words}: more than the benchmark has ({match.available})"
    return f"{words}: {match.missing_states} more than were run"


def _footnote(matches: Sequence[ColumnComparison]) -> str:
    family = max(match.family for match in matches)
    together = f"the {family} columns of a table" if family > 1 else "the one column"
    text = (
        f"Rates with their own 95 % intervals; differences with intervals that hold together for {together}, exact test paired "
        "by initial state, p corrected over the columns (Holm). Episodes that could have ended either way count against whoever "
        "seems better."
    )
    if any(not match.better for match in matches):
        text += " Before a longer run: `nora-bench plan --from RUN`."
    return text


def _flip_lines(match: ColumnComparison, *, everything: bool) -> Iterator[str]:
    if not match.flipped:
        return
    shown = match.flipped if everything else match.flipped[:SHOWN]
    yield ""
    yield f"{match.name}: {len(match.flipped)} episodes ended differently"
    yield from (f"  won by {one.winner.upper()}: {(one.b if one.difference > 0 else one.a).key}" for one in shown)
    if len(shown) < len(match.flipped):
        yield f"  and {len(match.flipped) - len(shown)} more: add --flips"


def not_worse_lines(found: NoninferiorityResult) -> Iterator[str]:
    """The verdict of `--no-worse-than`."""
    where = f"{found.by} ({found.part})" if found.part else found.by
    yield from prose(
        f"{where}: B - A {percent(found.mean, '+')}, at least {percent(found.low, '+')} (one-sided 95 %) on {found.scenes} "
        f"initial states: B is {'' if found.shown else 'not '}shown to be no worse than A by {100 * found.margin:g} points"
    )
    if found.missing:
        yield from prose(f"B has not played {found.missing} scenes that A has: play them, or nothing is shown.")


def ranking_lines(found: Ranking) -> Iterator[str]:
    """One block per run, best first, and what the ranking rests on."""
    yield from prose(f"Ranked by {found.column.name}" + (f" ({found.part})" if found.part else ""))
    for one in found.ranked:
        yield from wrapped([f"{one.rank:2}", one.letters, rate_text(one.rate), one.run.name], "")
        yield from (line for text in _standing_notes(one) for line in prose(text, "      "))
    yield from prose(
        "Runs that share a letter cannot be told apart; the rank is 1 + the number of runs that are better (exact tests paired "
        "by initial state over all pairs, Holm). Episodes that could have ended either way count against whoever seems better."
    )
    if found.others:
        yield from prose(f"Not in this mean, because not all played them or another table shows them: {', '.join(found.others)}.")
    for duel in found.pairs:
        if duel.condition_differences:
            yield from prose(f"! {duel.a.name} (A) and {duel.b.name} (B) differ not in their policies alone:")
            yield from (line for one in duel.condition_differences for line in prose(one.text, "  "))


def _standing_notes(one: RankedRun) -> Iterator[str]:
    yield from one.short
    if one.errors:
        yield "could have ended either way: " + ", ".join(f"{name} {count}" for name, count in one.errors.items())
    if one.left_out:
        yield f"left out: {one.left_out} episodes in scenes that not all runs played"


NAMES: Mapping[str, str] = {"pearson": "Pearson", "spearman": "Spearman", "mmrv": "mean maximum rank violation"}


def agreement_lines(found: Agreement) -> Iterator[str]:
    """Simulation against robot."""
    yield from prose(f"Simulation against robot over {len(found.names)} policies: {', '.join(found.names)}")
    for name, one in found.coefficients.items():
        if one is not None:
            yield f"  {NAMES[name]} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
    if found.reason:
        yield from prose(f"none: {found.reason}", "  ")
