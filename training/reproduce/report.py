"""Report of a reproduction: the papers' tables with its rows, and paired comparisons, made by `nora-bench` commands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from ...results.statistics.over_seeds import student
from ..engine.config import TrainingError
from ..evaluation import PROGRAM
from .nora import BASELINE, Reproduction, dpo_name, run_folder, sft_name

TABLES = ("nora/table2", "nora15/table2", "nora15/table6")
"""LIBERO with and without DPO, and by reward."""
FOLDER = "tables"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of the papers: policy B against policy A."""

    question: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """Result of one seed and suite; rates and difference as shares."""

    comparison: Comparison
    seed: int
    suite: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float

    def row(self) -> str:
        """A row of a Markdown table."""
        interval = f"{100 * self.difference:+.1f} ({100 * self.low:+.1f}, {100 * self.high:+.1f})"
        rates = f"{100 * self.a:.1f} | {100 * self.b:.1f}"
        return f"| {self.comparison.question} | {self.suite} | {self.seed} | {rates} | {interval} | {self.p:.2g} |"


def comparisons(settings: Reproduction) -> Iterator[Comparison]:
    """The comparisons of the papers."""
    base = sft_name(BASELINE, "flow")
    for chunk, heads in settings.heads.items():
        if chunk != BASELINE:
            for head in heads:
                yield Comparison(f"chunk {chunk} -> {BASELINE}, {head}", sft_name(chunk, head), sft_name(BASELINE, head))
    for chunk, heads in settings.heads.items():
        if {"flow", "fast"} <= set(heads):
            yield Comparison(f"FAST -> flow, chunk {chunk}", sft_name(chunk, "fast"), sft_name(chunk, "flow"))
    for reward in settings.rewards:
        yield Comparison(f"SFT -> DPO, {reward}", base, dpo_name(reward))


def conclude(settings: Reproduction, out: Path, command: Callable[..., str] | None = None) -> list[Path]:
    """Write tables and comparisons; the files. `command` runs `nora-bench` and returns its output."""
    command = command or _command
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    variants = [sft_name(chunk, head) for chunk, heads in settings.heads.items() for head in heads] + [
        dpo_name(r) for r in settings.rewards
    ]
    runs = [str(run_folder(out, variant, seed)) for variant in variants for seed in settings.seeds]
    written = []
    for table in TABLES:
        written.append(folder / f"{table.replace('/', '-')}.md")
        command("table", table, *runs, "--format", "markdown", "--out", str(written[-1]))
    results = [
        result
        for comparison in comparisons(settings)
        for seed in settings.seeds
        for result in _results(out, comparison, seed, command)
    ]
    written.append(folder / "contrasts.md")
    written[-1].write_text(markdown(results), encoding="utf-8")
    return written


def markdown(results: list[ComparisonResult]) -> str:
    """The results as a table, and the mean of each comparison over seeds and suites."""
    head = "| question, A -> B | suite | seed | A % | B % | B - A, points (95 %) | p |\n" + "| --- " * 7 + "|\n"
    rows = "\n".join(result.row() for result in results)
    names = dict.fromkeys(result.comparison.question for result in results)
    means = "\n".join(_mean([result for result in results if result.comparison.question == question]) for question in names)
    return (
        "Paired by initial state; exact p, corrected over suites. Held-out initial states, stand-in assets.\n\n"
        f"{head}{rows}\n\nMeans over seeds, with Student's interval: which includes the variation between training seeds.\n\n"
        f"| question | mean difference, points (95 %) | from, to | seeds |\n| --- | --- | --- | --- |\n{means}\n"
    )


def _mean(results: list[ComparisonResult]) -> str:
    """A row with the mean difference over seeds; a seed's difference is the mean over its suites."""
    by_seed: dict[int, list[float]] = {}
    for result in results:
        by_seed.setdefault(result.seed, []).append(100 * result.difference)
    seeds = [mean(differences) for differences in by_seed.values()]
    interval = ""
    if len(seeds) > 1:
        over = student(seeds)
        interval = f" ({over.low:+.1f}, {over.high:+.1f})"
    spread = f"{min(seeds):+.1f} to {max(seeds):+.1f}"
    return f"| {results[0].comparison.question} | {mean(seeds):+.1f}{interval} | {spread} | {len(seeds)} |"


def _results(out: Path, comparison: Comparison, seed: int, command: Callable[..., str]) -> Iterator[ComparisonResult]:
    runs = [str(run_folder(out, variant, seed)) for variant in (comparison.a, comparison.b)]
    output = json.loads(command("compare", *runs, "--json"))
    for match in output["matches"]:
        yield _result(comparison, seed, match)


def _result(comparison: Comparison, seed: int, match: dict[str, Any]) -> ComparisonResult:
    by, a, b = match["difference"], match["a"]["mean"], match["b"]["mean"]
    return ComparisonResult(comparison, seed, match["suite"], a, b, by["mean"], by["low"], by["high"], match["p_holm"])


def _command(*arguments: str) -> str:
    process = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)
    if process.returncode:
        raise TrainingError(
            f"nora-bench {' '.join(arguments[:2])} ended with code {process.returncode}:\n{process.stderr.strip()}"
        )
    return process.stdout
