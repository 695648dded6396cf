"""Evaluation in the loop: the harness plays a checkpoint in processes of its own; success with its interval comes back."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..policies.recordings import read_records
from ..results.statistics.intervals import strata_of, stratified
from .engine.config import TrainingError

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
    """Success of a finished run: its mean over suites with its 95 % interval, and each suite's; errors count as failures."""
    played = [((str(r["suite"]), int(r["task_id"])), int(r["init_state"]), bool(r["success"])) for r in read_records(run)]
    tasks = dict.fromkeys(task for task, _, _ in played)
    count = Counter(suite for suite, _ in tasks)
    weights = {task: 1 / count[task[0]] for task in tasks}
    found = stratified(strata_of(played, weights))
    rates = {s: stratified(strata_of(played, {task: w for task, w in weights.items() if task[0] == s})) for s in count}
    by_suite = {suite: one.mean for suite, one in rates.items() if one}
    if found is None:
        return {"score": 0.0, "low": 0.0, "high": 1.0, "episodes": 0.0}
    return {"score": found.mean, "low": found.low, "high": found.high, "episodes": float(found.n), **by_suite}
