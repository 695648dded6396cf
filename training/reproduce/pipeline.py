"""Stages of a reproduction: `nora-bench` commands that run in order, resume, and are never repeated once finished."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...envs.errors import StoreLocked
from ...results.store.locking import hold
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
        return self.folder("--out") if self.command[0] == "run" else None

    @property
    def renders(self) -> bool:
        """Whether the stage renders images of demonstrations, and nothing else."""
        return self.command[:2] == ("data", "render")

    def folder(self, option: str) -> Path | None:
        """Value of an option of the command, a folder; None without it."""
        return Path(self.command[self.command.index(option) + 1]) if option in self.command else None

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
        run_stage(stage, out)


WAIT_S = 10.0
"""Between looks for a stage, while other processes run all that could start."""


def run_available(stages: Sequence[PipelineStage], out: Path, log: Callable[[str], None]) -> None:
    """As `run_all`, beside other processes with the same stages: each runs those whose inputs exist and nobody else runs."""
    waiting, needed = False, inputs(stages)
    while left := [stage for stage in stages if not is_done(out, stage)]:
        missing = {stage.name for stage in left}
        ready = [stage for stage in left if not missing & needed[stage.name]]
        if any(_run_unless_locked(stage, out, log, f"{len(left)} of {len(stages)} stages to do") for stage in ready):
            waiting = False
            continue
        if not waiting:
            log("all stages that could start run in other processes; waiting")
        waiting = True
        time.sleep(WAIT_S)


def inputs(stages: Sequence[PipelineStage]) -> dict[str, set[str]]:
    """Stage -> the stages that write what its command reads: its folders, and the images of its demonstrations."""
    writers: dict[Path, list[PipelineStage]] = {}
    for stage in stages:
        if written := stage.folder("--data" if stage.renders else "--out"):
            writers.setdefault(written, []).append(stage)
    found = {}
    for stage in stages:
        own = stage.folder("--out")
        paths = {path for word in stage.command if "/" in word and (path := Path(word.rpartition("=")[2])) != own}
        before = [other for path in paths for place in (path, *path.parents) for other in writers.get(place, ())]
        found[stage.name] = {o.name for o in before if o.name != stage.name and not (o.renders and stage.renders)}
    return found


def _run_unless_locked(stage: PipelineStage, out: Path, log: Callable[[str], None], head: str) -> bool:
    """Whether the stage was run here; not where another process runs it or has just finished it."""
    path = out / DONE / f"{stage.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            release = hold(file, path)
        except StoreLocked:
            return False
        try:
            if is_done(out, stage):
                return False
            log(f"{head}; {stage.name}: about {minutes(stage.seconds)} on one core\n  {stage.line()}")
            run_stage(stage, out)
            return True
        finally:
            release()


def run_stage(stage: PipelineStage, out: Path) -> None:
    """Run a stage, resuming it, and record that it is done. Raises TrainingError."""
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
