"""Report of `reproduce findings`: one page per finding, a table of the primary comparisons, and all numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

from ...envs.safe_io import atomic_write
from ...results.statistics.over_seeds import SeedMean, student
from ...results.statistics.paired_test import holm
from .choices import progress
from .experiments import ArmComparison, Experiments, Finding
from .findings import (
    ROUNDING,
    AccuracySeed,
    Arm,
    ArmSeed,
    ComparisonSummary,
    compare_accuracy,
    compare_arms,
    rate,
    read_accuracy,
    read_arm,
)
from .findings_details import candidate_lines, curve_lines, curve_runs, measurements_of, phase_lines
from .markdown import markdown_table
from .pipeline import is_done

METHOD = """Intervals, 95 %, within the possible range: Student's t over training seeds;
hierarchical: seeds and states within them resampled. The other comparisons are
corrected among themselves (Holm). The power for 8 points and the smallest
difference with 80 % power (detectable) follow from the measured variation; both
are omitted where none was measured."""
ANSWERS = """n: episodes per seed. Malformed: answers that were no chunk. Weights: the first
digits of each seed's SHA-256; `findings.json` has all."""
FOLDER, PRIMARIES = "tables", "primaries.md"
NONE = "-"
"""Cell of a number that does not exist."""


def conclude_findings(settings: Experiments, out: Path, log: Callable[[str], None]) -> list[Path]:
    """Write the pages of all findings whose stages are done; no comparison is made before (no peeking). The files."""
    written, compared, numbers = [], {}, {}
    done = {stage.name for stage in progress(settings, out).stages if is_done(out, stage)}
    for name, finding in settings.findings.items():
        missing = [stage for stage in stages_of(settings, finding) if stage not in done]
        if missing:
            log(f"{name}: {len(missing)} stages to do before it is analysed, such as {missing[0]}")
            continue
        arms = {arm: _read(settings, out, arm) for arm in arms_of(finding)}
        compared[name] = summarise(finding, arms)
        details = [
            *curve_lines(settings, out, finding),
            *phase_lines(settings, out, finding),
            *candidate_lines(settings, out, finding),
        ]
        written.append(_write(out, f"{name.lower()}.md", markdown(name, finding, compared[name], arms, details, settings.note)))
        numbers[name] = as_json(finding, compared[name], arms)
    if len(compared) == len(settings.findings):
        written.append(_write(out, PRIMARIES, primary_table(settings, {name: one[0] for name, one in compared.items()})))
    if numbers:
        written.append(_write(out, "findings.json", json.dumps({"note": settings.note, "findings": numbers}, indent=1) + "\n"))
    return written


def arms_of(finding: Finding) -> list[str]:
    """Names of the evaluations and rewards of a finding."""
    names = [arm for one in finding.comparisons for arm in (one.a, one.b) if isinstance(arm, str)]
    return [*dict.fromkeys([*names, *finding.descriptive])]


def stages_of(settings: Experiments, finding: Finding) -> list[str]:
    """Names of the stages that a finding waits for."""
    names = [f"evaluate-{arm}-seed{seed}" for arm in arms_of(finding) if "/" not in arm for seed in settings.seeds]
    names += [f"measurement-{part}-seed{seed}" for part in measurements_of(settings, finding) for seed in settings.seeds]
    return [*names, *(f"evaluate-{run}" for runs in curve_runs(settings, finding).values() for part in runs for run in part)]


def _read(settings: Experiments, out: Path, arm: str) -> Arm:
    if "/" not in arm:
        return read_arm({seed: out / "runs" / f"{arm}-seed{seed}" for seed in settings.seeds})
    measurement, labels, reward = arm.split("/", 2)
    return read_accuracy({s: out / "measurements" / f"{measurement}-seed{s}" for s in settings.seeds}, labels, reward)


def _write(out: Path, name: str, text: str) -> Path:
    path = out / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
    return path


def primary_table(settings: Experiments, primaries: Mapping[str, ComparisonSummary]) -> str:
    """The primary comparisons, with p also corrected over them."""
    corrected = holm([one.p for one in primaries.values()])
    head = ("finding", "difference, points (95 %)", "p", "p over the findings", "verdict")
    rows = [
        (name, _points(one.over), _p(one, one.p), _p(one, p), one.verdict)
        for (name, one), p in zip(primaries.items(), corrected, strict=True)
    ]
    lines = ["# The primary comparisons", "", *_note(settings.note), *markdown_table(head, rows), ""]
    for name, one in primaries.items():
        lines += [f"- {name}: {settings.findings[name].claim}.", f"  {one.comparison.name}."]
        lines += [f"  Open: {one.problem}."] if one.problem else []
    return "\n".join(lines) + "\n"


def summarise(finding: Finding, arms: Mapping[str, Arm]) -> list[ComparisonSummary]:
    """The comparisons of a finding, the primary first; the others corrected among themselves (Holm)."""
    ordered = sorted(finding.comparisons, key=lambda comparison: not comparison.primary)
    found = [_compared(comparison, arms) for comparison in ordered]
    first, rest = found[0], found[1:]
    corrected = holm([one.p for one in rest])
    return [
        replace(first, corrected=first.p),
        *(replace(one, corrected=p) for one, p in zip(rest, corrected, strict=True)),
    ]


def _compared(comparison: ArmComparison, arms: Mapping[str, Arm]) -> ComparisonSummary:
    b = arms[comparison.b]
    a = float(comparison.a) if not isinstance(comparison.a, str) else arms[comparison.a]
    if all(isinstance(one, AccuracySeed) for one in b.values()):
        return compare_accuracy(comparison, a, b)  # pyright: ignore[reportArgumentType]  checked above
    return compare_arms(comparison, a, b)  # pyright: ignore[reportArgumentType]  checked above


def markdown(
    name: str,
    finding: Finding,
    found: Sequence[ComparisonSummary],
    arms: Mapping[str, Arm],
    details: Sequence[str] = (),
    note: str | None = None,
) -> str:
    """The page of a finding, 80 columns wide; `details` are further lines, `note` stands on top."""
    primary = found[0]
    lines = [
        *(f"# {name}: {finding.claim}", "", *_note(note)),
        f"Primary comparison, {primary.comparison.name}:",
        f"**{primary.verdict}**, "
        + (f"{primary.problem}." if primary.problem else f"{_points(primary.over)} points, p = {primary.p:.2g}."),
        *("", METHOD, ""),
        *_comparison_list(found),
        *("", *markdown_table(("", "points (95 %)", "hierarchical", "p", "corrected p"), [*_effects(found)])),
        *("", *markdown_table(("", "seeds", "states", "errors", "power for 8", "detectable"), [*_sizes(found)])),
        *("", "## Arms", "", *_arm_lines(arms)),
        *details,
    ]
    return "\n".join(lines).rstrip() + "\n"


def _note(note: str | None) -> list[str]:
    from textwrap import wrap

    return [*wrap(f"**{note}**", 80), ""] if note else []


def _comparison_list(found: Sequence[ComparisonSummary]) -> list[str]:
    lines = []
    for number, one in enumerate(found, 1):
        by = one.comparison
        base = by.a if isinstance(by.a, str) else f"{100 * by.a:.0f} %"
        lines += [f"{number}. **{by.name}**" if by.primary else f"{number}. {by.name}", f"   ({by.b} minus {base})"]
    return lines


def _effects(found: Sequence[ComparisonSummary]) -> list[tuple[str, ...]]:
    return [
        (str(number), _points(one.over), _range(one.hierarchical), _p(one, one.p), _p(one, one.corrected))
        for number, one in enumerate(found, 1)
    ]


def _sizes(found: Sequence[ComparisonSummary]) -> list[tuple[str, ...]]:
    rows = []
    for number, one in enumerate(found, 1):
        shown = NONE if one.power is None else f"{one.power:.2f}"
        least = NONE if one.detectable is None else f"{100 * one.detectable:.1f}"
        rows.append((str(number), str(one.over.seeds) if one.over else NONE, str(one.states), str(one.errors), shown, least))
    return rows


def _p(one: ComparisonSummary, p: float) -> str:
    return NONE if one.problem else f"{p:.2g}"


def _range(interval: tuple[float, float] | None) -> str:
    if interval is None or interval[1] - interval[0] < ROUNDING:
        return NONE
    return "({:+.1f}, {:+.1f})".format(*(100 * x for x in interval))


def _points(over: SeedMean | None) -> str:
    """A difference in points, with an interval where the seeds differ."""
    if over is None:
        return NONE
    interval = f" {_range((max(over.low, -1.0), min(over.high, 1.0)))}" if over.deviation > ROUNDING else ""
    return f"{100 * over.mean:+.1f}{interval}"


def _arm_lines(arms: Mapping[str, Arm]) -> list[str]:
    """Tables of the arms: rates by seed, and for policies their malformed answers and weights."""
    rows, answers = [], []
    for name, arm in arms.items():
        shares = [one.share if isinstance(one, AccuracySeed) else rate(one) for one in arm.values()]
        size = mean(one.pairs if isinstance(one, AccuracySeed) else len(one.outcomes) for one in arm.values())
        each = " ".join(NONE if share is None else f"{100 * share:.0f}" for share in shares)
        rows.append((name.partition("/")[2] or name, _rate(shares), each, f"{size:.0f}"))
        if runs := [one for one in arm.values() if isinstance(one, ArmSeed)]:
            malformed = f"{100 * mean(one.malformed for one in runs):.1f} %"
            answers.append((name, malformed, " ".join(one.weights[:6] for one in runs)))
    lines = markdown_table(("arm", f"{'success rate' if answers else 'accuracy'}, % (95 %)", "by seed, %", "n"), rows)
    if not answers:
        return [*lines, "", "An arm is a label set and a reward; n: pairs of candidates per seed."]
    return [*lines, "", *ANSWERS.splitlines(), "", *markdown_table(("arm", "malformed", "weights"), answers)]


def _rate(shares: Sequence[float | None]) -> str:
    """Mean of one share per seed, with an interval where they differ."""
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        return NONE
    over = student(known)
    interval = f" ({100 * max(over.low, 0.0):.1f}, {100 * min(over.high, 1.0):.1f})" if over.deviation > ROUNDING else ""
    return f"{100 * over.mean:.1f}{interval}"


def as_json(finding: Finding, found: Sequence[ComparisonSummary], arms: Mapping[str, Arm]) -> dict[str, Any]:
    """All numbers of a finding; differences, rates and accuracies as shares."""
    comparisons = [
        {**asdict(one), "problem": one.problem, "power": one.power, "detectable": one.detectable, "verdict": one.verdict}
        for one in found
    ]
    by_arm: dict[str, Any] = {}
    for name, arm in arms.items():
        by_arm[name] = {seed: _seed_json(one) for seed, one in arm.items()}
    return {"claim": finding.claim, "comparisons": comparisons, "arms": by_arm}


def _seed_json(one: ArmSeed | AccuracySeed) -> dict[str, Any]:
    if isinstance(one, AccuracySeed):
        return {"correct": one.correct, "pairs": one.pairs, "share": one.share}
    errors = sum(outcome is None for outcome in one.outcomes.values())
    facts = {"rate": rate(one), "episodes": len(one.outcomes), "errors": errors}
    return {**facts, "malformed": one.malformed, "weights_sha256": one.weights}
