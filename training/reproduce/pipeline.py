"""Stages of a reproduction: `nora-bench` commands that run in order, resume, and are never repeated once finished."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.config import TrainingError
from ..evaluation import PROGRAM, option_words

DONE = "stages"
"""Folder of a reproduction that records finished stages."""


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """One command of a reproduction."""

    name: str
    command: tuple[str, ...]
    """Arguments of `nora-bench`."""
    seconds: float
    """Rough time on one core."""

    @property
    def run_folder(self) -> Path | None:
        """Folder of the run, for a stage that runs episodes."""
        return Path(self.command[self.command.index("--out") + 1]) if self.command[0] == "run" else None

    def line(self) -> str:
        """The command as typed in a shell."""
        return " ".join(("nora-bench", *self.command))


def minutes(seconds: float) -> str:
    """A rough time, human-readable."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def is_done(out: Path, stage: PipelineStage) -> bool:
    """Whether a stage is finished. Raises TrainingError if a finished stage of that name has another command."""
    path = out / DONE / f"{stage.name}.json"
    if not path.is_file():
        return False
    if _essential(json.loads(path.read_text(encoding="utf-8"))["command"]) != _essential(stage.command):
        raise TrainingError(
            f"{out} contains another reproduction: its stage {stage.name} differs. Give another --out", option="--out"
        )
    return True


def _essential(command: Sequence[str]) -> list[str]:
    """The arguments that decide a stage's result: all but the number of processes."""
    words = [*command]
    if "--workers" in words:
        at = words.index("--workers")
        del words[at : at + 2]
    return words


def run_all(stages: Sequence[PipelineStage], out: Path, log: Callable[[str], None]) -> None:
    """Run unfinished stages, logging the cost of each before it starts. Raises TrainingError if one fails."""
    for number, stage in enumerate(stages, 1):
        head = f"stage {number} of {len(stages)}, {stage.name}"
        if is_done(out, stage):
            log(f"{head}: done")
            continue
        log(f"{head}: about {minutes(stage.seconds)} on one core\n  {stage.line()}")
        _run(stage, out)


def _run(stage: PipelineStage, out: Path) -> None:
    started = time.monotonic()
    resuming = ("--resume",) if stage.run_folder and (stage.run_folder / "run.json").is_file() else ()
    ended = subprocess.run([*PROGRAM, *stage.command, *resuming], check=False).returncode
    accepted = (0, 1) if stage.run_folder else (0,)  # 1: some episodes ended in errors, which the run records
    if ended not in accepted:
        raise TrainingError(f"stage {stage.name} ended with code {ended}. The same command resumes it:\n  {stage.line()}")
    path = out / DONE / f"{stage.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"command": stage.command, "seconds": round(time.monotonic() - started, 1)}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def stage(name: str, verb: str, options: Mapping[str, object], seconds: float) -> PipelineStage:
    """The stage of a command: its verb, and its options as `option_words` takes them."""
    return PipelineStage(name, (*verb.split(), *option_words(options)), seconds)
