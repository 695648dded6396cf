"""Report of `reproduce findings`: one page per finding, and a table of the primary comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from ...results.statistics.over_seeds import SeedMean, student
from ...results.statistics.paired_test import holm
from .choices import progress
from .experiments import ArmComparison, Experiments, Finding
from .findings import (
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
from .pipeline import is_done

METHOD = """The other comparisons are corrected among themselves (Holm). Intervals, 95 %: Student's t over training seeds;
hierarchical: seeds and states within them resampled. The power for 8 points and the smallest difference with 80 % power
(detectable) follow from the measured variation."""
COLUMNS = (
    *("B - A", "seeds", "states", "difference, points (95 %)", "hierarchical", "p", "corrected p", "errors"),
    *("power for 8", "detectable"),
)
FOLDER = "tables"
PHASES = ("approach", "grasp", "carry", "release")


def conclude_findings(settings: Experiments, out: Path, log: Callable[[str], None]) -> list[Path]:
    """Write the pages of all findings whose stages are done; no comparison is made before (no peeking). The files."""
    written, primaries = [], {}
    for name, finding in settings.findings.items():
        if missing := unfinished(settings, out, finding):
            log(f"{name}: {len(missing)} stages to do before it is analysed, such as {missing[0]}")
            continue
        arms = {arm: _read(settings, out, arm) for arm in arms_of(finding)}
        found = summarise(finding, arms)
        primaries[name] = found[0]
        written.append(_write(out, f"{name.lower()}.md", markdown(name, finding, found, arms)))
    if len(primaries) == len(settings.findings):
        written.append(_write(out, "primaries.md", primary_table(settings, primaries)))
    return written


def arms_of(finding: Finding) -> list[str]:
    """Names of the evaluations and rewards of a finding."""
    names = [arm for one in finding.comparisons for arm in (one.a, one.b) if isinstance(arm, str)]
    return [*dict.fromkeys([*names, *finding.descriptive])]


def unfinished(settings: Experiments, out: Path, finding: Finding) -> list[str]:
    """Names of the stages that a finding waits for."""
    done = {found.name: is_done(out, found) for found in progress(settings, out).stages}
    wanted = [
        f"measurement-{arm.split('/')[0]}-seed{seed}" if "/" in arm else f"evaluate-{arm}-seed{seed}"
        for arm in arms_of(finding)
        for seed in settings.seeds
    ]
    return [name for name in dict.fromkeys(wanted) if not done[name]]


def _read(settings: Experiments, out: Path, arm: str) -> Arm:
    if "/" not in arm:
        return read_arm({seed: out / "runs" / f"{arm}-seed{seed}" for seed in settings.seeds})
    measurement, labels, reward = arm.split("/", 2)
    return read_accuracy({s: out / "measurements" / f"{measurement}-seed{s}" for s in settings.seeds}, labels, reward)


def _write(out: Path, name: str, text: str) -> Path:
    path = out / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def primary_table(settings: Experiments, primaries: Mapping[str, ComparisonSummary]) -> str:
    """The primary comparisons, with p also corrected over them."""
    corrected = holm([one.over.p for one in primaries.values()])
    lines = [
        "| finding | primary comparison | difference, points (95 %) | p | p over the findings | verdict |",
        "| --- " * 6 + "|",
    ]
    for (name, one), p in zip(primaries.items(), corrected, strict=True):
        claim = f"{name}: {settings.findings[name].claim}"
        lines.append(f"| {claim} | {one.comparison.name} | {_points(one.over)} | {one.over.p:.2g} | {p:.2g} | {one.verdict} |")
    return "\n".join(lines) + "\n"


def summarise(finding: Finding, arms: Mapping[str, Arm]) -> list[ComparisonSummary]:
    """The comparisons of a finding, the primary first; the others corrected among themselves (Holm)."""
    ordered = sorted(finding.comparisons, key=lambda comparison: not comparison.primary)
    found = [_compared(comparison, arms) for comparison in ordered]
    first, rest = found[0], found[1:]
    corrected = holm([one.over.p for one in rest])
    return [
        replace(first, corrected=first.over.p),
        *(replace(one, corrected=p) for one, p in zip(rest, corrected, strict=True)),
    ]


def _compared(comparison: ArmComparison, arms: Mapping[str, Arm]) -> ComparisonSummary:
    b = arms[comparison.b]
    a = float(comparison.a) if not isinstance(comparison.a, str) else arms[comparison.a]
    if all(isinstance(one, AccuracySeed) for one in b.values()):
        return compare_accuracy(comparison, a, b)  # pyright: ignore[reportArgumentType]  checked above
    return compare_arms(comparison, a, b)  # pyright: ignore[reportArgumentType]  checked above


def markdown(name: str, finding: Finding, found: Sequence[ComparisonSummary], arms: Mapping[str, Arm]) -> str:
    """The page of a finding."""
    primary = found[0]
    lines = [
        f"# {name}: {finding.claim}",
        "",
        f"Primary comparison, {primary.comparison.name}: {_points(primary.over)}, p = {primary.over.p:.2g}: {primary.verdict}.",
        METHOD,
        "",
        f"| {' | '.join(COLUMNS)} |",
        "| --- " * len(COLUMNS) + "|",
        *(_row(one) for one in found),
        "",
        *_arm_table(finding, arms),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(one: ComparisonSummary) -> str:
    name = f"**{one.comparison.name}**" if one.comparison.primary else one.comparison.name
    interval = "" if one.hierarchical is None else "({:+.1f}, {:+.1f})".format(*(100 * x for x in one.hierarchical))
    shown = "" if one.power is None else f"{one.power:.2f}"
    least = "" if one.detectable is None else f"{100 * one.detectable:.1f}"
    over = one.over
    return (
        f"| {name} | {over.seeds} | {one.states} | {_points(over)} | {interval} | {over.p:.2g} | {one.corrected:.2g} | "
        f"{one.errors} | {shown} | {least} |"
    )


def _points(over: SeedMean) -> str:
    return f"{100 * over.mean:+.1f} ({100 * over.low:+.1f}, {100 * over.high:+.1f})"


def _arm_table(finding: Finding, arms: Mapping[str, Arm]) -> list[str]:
    names = [arm for one in finding.comparisons for arm in (one.a, one.b) if isinstance(arm, str)]
    rows = [_arm_row(name, arms[name]) for name in dict.fromkeys([*names, *finding.descriptive])]
    head = "| arm | rate, % (95 % over seeds) | seeds, % | n per seed | malformed answers, % | weights |"
    return [head, "| --- | --- | --- | --- | --- | --- |", *rows]


def _arm_row(name: str, arm: Arm) -> str:
    shares, sizes, malformed, weights = [], [], "", ""
    for one in arm.values():
        shares.append(one.share if isinstance(one, AccuracySeed) else rate(one))
        sizes.append(one.pairs if isinstance(one, AccuracySeed) else len(one.outcomes))
    runs = [one for one in arm.values() if isinstance(one, ArmSeed)]
    if runs:
        malformed = f"{100 * mean(one.malformed for one in runs):.1f}"
        weights = " ".join(f"`{one.weights[:8]}`" for one in runs)
    over = student(shares)
    each = " ".join(f"{100 * share:.0f}" for share in shares)
    interval = f"{100 * over.mean:.1f} ({100 * over.low:.1f}, {100 * over.high:.1f})"
    return f"| {name} | {interval} | {each} | {round(mean(sizes))} | {malformed} | {weights} |"
