"""A reproduction as a list of stages: commands of ours, one after the other, each done once.

What a stage is asked to do is its command line, so every stage can be typed by hand; and since each command goes on where it
was stopped, so does the whole.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.config import TrainingError

PROGRAM = (sys.executable, "-c", "from nora_bench.harness.cli import main; main()")
DONE = "stages"
"""Folder of a reproduction that says which stages are done."""


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """One command of a reproduction."""

    name: str
    command: tuple[str, ...]
    """What follows `nora-bench`."""
    seconds: float
    """Rough time on one core."""

    @property
    def playing(self) -> Path | None:
        """The run's folder where the stage plays episodes."""
        return Path(self.command[self.command.index("--out") + 1]) if self.command[0] == "run" else None

    def line(self) -> str:
        """The command as one would type it."""
        return " ".join(("nora-bench", *self.command))


def minutes(seconds: float) -> str:
    """A rough time in words."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def is_done(out: Path, stage: PipelineStage) -> bool:
    """Whether a stage has ended. Raises TrainingError where one of that name did something else."""
    path = out / DONE / f"{stage.name}.json"
    if not path.is_file():
        return False
    if _meant(json.loads(path.read_text(encoding="utf-8"))["command"]) != _meant(stage.command):
        raise TrainingError(f"{out} holds another reproduction: its stage {stage.name} differs. Give another --out")
    return True


def _meant(command: Sequence[str]) -> list[str]:
    """What decides a stage's result: everything but the number of processes."""
    words = [*command]
    if "--workers" in words:
        at = words.index("--workers")
        del words[at : at + 2]
    return words


def run_all(stages: Sequence[PipelineStage], out: Path, say: Callable[[str], None]) -> None:
    """Run what is not done; every stage says what it costs before it starts. Raises TrainingError where one fails."""
    for number, stage in enumerate(stages, 1):
        head = f"stage {number} of {len(stages)}, {stage.name}"
        if is_done(out, stage):
            say(f"{head}: done")
            continue
        say(f"{head}: about {minutes(stage.seconds)} on one core\n  {stage.line()}")
        _run(stage, out)


def _run(stage: PipelineStage, out: Path) -> None:
    started = time.monotonic()
    resuming = ("--resume",) if stage.playing and (stage.playing / "run.json").is_file() else ()
    ended = subprocess.run([*PROGRAM, *stage.command, *resuming], check=False).returncode
    accepted = (0, 1) if stage.playing else (0,)  # 1: some episodes ended in errors; they are in the run's records
    if ended not in accepted:
        raise TrainingError(f"stage {stage.name} ended with code {ended}; the same command goes on with it:\n  {stage.line()}")
    path = out / DONE / f"{stage.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"command": stage.command, "seconds": round(time.monotonic() - started, 1)}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
