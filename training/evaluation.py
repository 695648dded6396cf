"""Evaluation in the loop: the harness plays a checkpoint in processes of its own; success with its interval comes back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..policies.recordings import read_records
from ..results.stats import wilson
from .settings import TrainingError

CHOOSING = "35-39"
"""Initial states on which checkpoints are compared. Demonstrations are of 0-34; 40-49 are for the final test alone."""


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is played."""

    suites: tuple[str, ...] = ("libero_object",)
    tasks: str | None = None
    """Task ids like `0,3-5`; None: all."""
    init_states: str = CHOOSING
    episodes: int | None = None
    """Initial states per task; None: all of those named."""
    assets: str = "standin"
    protocol: str | None = None
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Plays checkpoints; call it with a checkpoint's folder."""

    settings: EvaluationSettings
    out: Path
    """Folder that gets one run per checkpoint."""

    def __call__(self, checkpoint: Path) -> Mapping[str, float]:
        """`score` (success rate), `low` and `high` (Wilson, 95 %), `episodes`, and the rate of every suite.

        Raises TrainingError where the harness cannot play.
        """
        run = self.out / checkpoint.name
        done = subprocess.run(self.command(checkpoint, run), capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise TrainingError(f"the evaluation of {checkpoint} failed:\n{done.stderr.strip()[-2000:]}")
        return summary(run)

    def command(self, checkpoint: Path, run: Path) -> list[str]:
        """What is started; it goes on where an earlier attempt was stopped."""
        settings = self.settings
        options = {
            "policy": str(checkpoint),
            "policy-arg": "threads=1",
            "tasks": settings.tasks,
            "init-states": settings.init_states,
            "episodes": settings.episodes,
            "assets": settings.assets,
            "protocol": settings.protocol,
            "workers": settings.workers,
            "out": str(run),
        }
        start = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", "run", "--json"]
        suites = [part for suite in settings.suites for part in ("--suite", suite)]
        given = [part for name, value in options.items() if value is not None for part in (f"--{name}", str(value))]
        return [*start, *suites, *given, *(["--resume"] if (run / "run.json").exists() else [])]


def summary(run: Path) -> dict[str, float]:
    """Success of a finished run, over all and by suite."""
    won: dict[str, list[bool]] = {}
    for record in read_records(run):
        won.setdefault(str(record["suite"]), []).append(bool(record["success"]))
    every = [success for suite in won.values() for success in suite]
    low, high = wilson(sum(every), len(every))
    rates = {suite: sum(successes) / len(successes) for suite, successes in won.items()}
    score = sum(rates.values()) / len(rates) if rates else 0.0
    return {"score": score, "low": low, "high": high, "episodes": float(len(every)), **rates}
