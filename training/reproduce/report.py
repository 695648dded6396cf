"""What a reproduction says: the papers' tables with its rows, and its questions answered pair by pair, by our own commands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ..engine.config import TrainingError
from .nora import BASELINE, Layout, Reproduction, dpo_name, sft_name
from .pipeline import PROGRAM

TABLES = ("nora/table2", "nora15/table2", "nora15/table6")
"""LIBERO with and without DPO, and by reward."""
FOLDER = "tables"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question: is B better than A?"""

    question: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """How one seed and suite answers it; rates and difference as shares."""

    contrast: Comparison
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
        return f"| {self.contrast.question} | {self.suite} | {self.seed} | {rates} | {interval} | {self.p:.2g} |"


def comparisons(wanted: Reproduction) -> Iterator[Comparison]:
    """What the papers compare."""
    base = sft_name(BASELINE, "flow")
    for chunk, heads in wanted.heads.items():
        if chunk != BASELINE:
            for head in heads:
                yield Comparison(f"chunk {chunk} -> {BASELINE}, {head}", sft_name(chunk, head), sft_name(BASELINE, head))
    for chunk, heads in wanted.heads.items():
        if {"flow", "fast"} <= set(heads):
            yield Comparison(f"FAST -> flow, chunk {chunk}", sft_name(chunk, "fast"), sft_name(chunk, "flow"))
    for reward in wanted.rewards:
        yield Comparison(f"SFT -> DPO, {reward}", base, dpo_name(reward))


def conclude(wanted: Reproduction, out: Path, ask: Callable[..., str] | None = None) -> list[Path]:
    """Write the tables and the answers; the files. `ask` runs a command of ours and gives what it prints."""
    ask, at = ask or _ask, Layout(out)
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    variants = [sft_name(chunk, head) for chunk, heads in wanted.heads.items() for head in heads] + [
        dpo_name(r) for r in wanted.rewards
    ]
    runs = [at.run(variant, seed) for variant in variants for seed in wanted.seeds]
    written = []
    for table in TABLES:
        written.append(folder / f"{table.replace('/', '-')}.md")
        ask("table", table, *runs, "--format", "markdown", "--out", str(written[-1]))
    answers = [
        answer for contrast in comparisons(wanted) for seed in wanted.seeds for answer in _answers(at, contrast, seed, ask)
    ]
    written.append(folder / "contrasts.md")
    written[-1].write_text(markdown(answers), encoding="utf-8")
    return written


def markdown(answers: list[ComparisonResult]) -> str:
    """The answers as a table, and each question's mean over seeds and suites."""
    head = "| question, A -> B | suite | seed | A % | B % | B - A, points (95 %) | p |\n" + "| --- " * 7 + "|\n"
    rows = "\n".join(answer.row() for answer in answers)
    asked = dict.fromkeys(answer.contrast.question for answer in answers)
    means = "\n".join(_mean([answer for answer in answers if answer.contrast.question == question]) for question in asked)
    return (
        "Paired by initial state; exact p, corrected over suites. Held-out initial states, stand-in assets.\n\n"
        f"{head}{rows}\n\nMeans over seeds, with Student's interval: what another training seed may change is in it.\n\n"
        f"| question | mean difference, points (95 %) | from, to | seeds |\n| --- | --- | --- | --- |\n{means}\n"
    )


def _mean(answers: list[ComparisonResult]) -> str:
    """A row with the mean over seeds of one question's differences; a seed's is the mean over its suites."""
    by_seed: dict[int, list[float]] = {}
    for answer in answers:
        by_seed.setdefault(answer.seed, []).append(100 * answer.difference)
    found = [mean(differences) for differences in by_seed.values()]
    interval = "" if len(found) < 2 else " ({:+.1f}, {:+.1f})".format(*student(found))
    spread = f"{min(found):+.1f} to {max(found):+.1f}"
    return f"| {answers[0].contrast.question} | {mean(found):+.1f}{interval} | {spread} | {len(found)} |"


def student(numbers: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of two or more independent numbers that are about normal (Student, Biometrika 6, 1908)."""
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, len(numbers) - 1)) * stdev(numbers) / len(numbers) ** 0.5
    return mean(numbers) - half, mean(numbers) + half


def _answers(at: Layout, contrast: Comparison, seed: int, ask: Callable[..., str]) -> Iterator[ComparisonResult]:
    found = json.loads(ask("compare", at.run(contrast.a, seed), at.run(contrast.b, seed), "--json"))
    for match in found["matches"]:
        yield _answer(contrast, seed, match)


def _answer(contrast: Comparison, seed: int, match: dict[str, Any]) -> ComparisonResult:
    by, a, b = match["difference"], match["a"]["mean"], match["b"]["mean"]
    return ComparisonResult(contrast, seed, match["suite"], a, b, by["mean"], by["low"], by["high"], match["p_holm"])


def _ask(*command: str) -> str:
    done = subprocess.run([*PROGRAM, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrainingError(f"nora-bench {' '.join(command[:2])} ended with code {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout
