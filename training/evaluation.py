"""Evaluation of checkpoints during training: `nora-bench run` in a subprocess, summarised as success rates."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..harness.config import parse
from ..results.statistics.intervals import strata_of, stratified
from ..results.store.reader import read_episodes
from .engine.config import TrainingError

CHOOSING = "35-39"
"""Initial states for model selection. Demonstrations use 0-34; 40-49 are for the final test."""
PROGRAM = (sys.executable, "-c", "from nora_bench.harness.cli import main; main()")
"""Command line of `nora-bench` in a subprocess."""


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """Episodes of an evaluation."""

    suites: tuple[str, ...] = ("libero_object",)
    tasks: str | None = None
    """Task ids like `0,3-5`; None: all."""
    init_states: str = CHOOSING
    episodes: int | None = None
    """Initial states per task; None: all of `init_states`."""
    assets: str = "standin"
    protocol: str | None = None
    workers: int = 1

    def validate(self) -> None:
        """Raise InputError for values that `nora-bench run` would reject, before the hours of training."""
        parse({"suite": self.suites, **{name: value for name, value in asdict(self).items() if name != "suites"}})


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates a checkpoint's folder."""

    settings: EvaluationSettings
    out: Path
    """Folder for one run per checkpoint."""

    def __call__(self, checkpoint: Path) -> Mapping[str, float]:
        """`score` (success rate), `low` and `high` (95 %), `episodes`, and the rate of every suite.

        Raises TrainingError if the evaluation fails.
        """
        run = self.out / checkpoint.name
        process = subprocess.run(self.command(checkpoint, run), capture_output=True, text=True, check=False)
        if process.returncode not in (0, 1):
            raise TrainingError(f"the evaluation of {checkpoint} failed:\n{process.stderr.strip()[-2000:]}")
        return summary(run)

    def command(self, checkpoint: Path, run: Path) -> list[str]:
        """The command, which resumes an interrupted evaluation."""
        settings = self.settings
        options = {
            "suite": settings.suites,
            "policy": checkpoint,
            "policy-arg": "threads=1",
            "tasks": settings.tasks,
            "init-states": settings.init_states,
            "episodes": settings.episodes,
            "assets": settings.assets,
            "protocol": settings.protocol,
            "workers": settings.workers,
            "out": run,
        }
        resuming = ["--resume"] if (run / "run.json").exists() else []
        return [*PROGRAM, "run", "--json", *option_words(options), *resuming]


def option_words(options: Mapping[str, object]) -> list[str]:
    """Options as words of a command line; a tuple repeats the option, None omits it."""
    words = []
    for name, value in options.items():
        for part in value if isinstance(value, tuple) else (value,):
            words += [] if part is None else [f"--{name}", str(part)]
    return words


def summary(run: Path) -> dict[str, float]:
    """Success of a finished run: mean over suites with its 95 % interval, and each suite's rate; errors count as failures."""
    records = read_episodes(run).records.values()
    episodes = [((record.suite, record.task_id), record.init_state, bool(record.success)) for record in records]
    tasks = dict.fromkeys(task for task, _, _ in episodes)
    count = Counter(suite for suite, _ in tasks)
    weights = {task: 1 / count[task[0]] for task in tasks}
    mean = stratified(strata_of(episodes, weights))
    if mean is None:
        return {"score": 0.0, "low": 0.0, "high": 1.0, "episodes": 0.0}
    rates = {s: stratified(strata_of(episodes, {task: w for task, w in weights.items() if task[0] == s})) for s in count}
    by_suite = {suite: rate.mean for suite, rate in rates.items() if rate}
    return {"score": mean.mean, "low": mean.low, "high": mean.high, "episodes": float(mean.n), **by_suite}
