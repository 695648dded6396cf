"""Stages of a reproduction: `nora-bench` commands that run in order, resume, and are never repeated once finished."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...envs.errors import ExitCode, Interrupted, StoreLocked
from ...envs.safe_io import atomic_write
from ...harness.execution.signals import stop_signals
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
    """Whether a stage is finished and its output there. Raises TrainingError if a finished stage has another command."""
    path = out / DONE / f"{stage.name}.json"
    try:
        command = json.loads(path.read_bytes())["command"]
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, KeyError):
        raise TrainingError(f"{path} is damaged. Its stage resumes: rm {path}, and type the same command") from None
    if _essential(command) != _essential(stage.command):
        raise TrainingError(
            f"{out} contains another reproduction: its stage {stage.name} differs. Give another --out", option="--out"
        )
    written = stage.folder("--out")
    return written is None or written.exists()


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


WAIT_S, POLL_S = 10.0, 0.2
"""Seconds between looks for a stage, while other processes run all that could start, and for the end of a command."""


def run_available(stages: Sequence[PipelineStage], out: Path, log: Callable[[str], None], purpose: str = "") -> None:
    """Run what results need, beside other processes with the same stages: each runs what can start and nobody else runs.

    Args:
        stages: in an order in which each finds its inputs.
        out: folder of the reproduction; the output of a stage is written to a file there.
        log: receives a line per stage.
        purpose: words after "stages to do" in those lines.
    """
    waiting, needed = False, inputs(stages)
    while left := _wanted(stages, out, needed):
        missing = {stage.name for stage in left}
        ready = [stage for stage in left if not missing & needed[stage.name]]
        head = f"{len(left)} of {len(stages)} stages to do{purpose}"
        if any(_run_unless_locked(stage, out, log, head) for stage in ready):
            waiting = False
            continue
        if not waiting:
            log("all stages that could start run in other processes; waiting")
        waiting = True
        time.sleep(WAIT_S)


def unfinished(stages: Sequence[PipelineStage], out: Path) -> list[PipelineStage]:
    """Stages that are not done and that a result needs. Results are the stages whose output no other stage reads.

    Only results of earlier runs need to be in the folder: what they were made from is not made again.
    """
    return _wanted(stages, out, inputs(stages))


def _wanted(stages: Sequence[PipelineStage], out: Path, needed: Mapping[str, set[str]]) -> list[PipelineStage]:
    left = {stage.name: stage for stage in stages if not is_done(out, stage)}
    read = {name for before in needed.values() for name in before}
    wanted, pending = set[str](), [name for name in left if name not in read]
    while pending:
        name = pending.pop()
        wanted.add(name)
        pending += [before for before in needed[name] if before in left and before not in wanted]
    return [stage for name, stage in left.items() if name in wanted]


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
            log(f"{head}; {stage.name}, about {minutes(stage.seconds)} on one core: {output_file(out, stage)}")
            run_stage(stage, out, file.fileno(), output_file(out, stage))
            return True
        finally:
            release()


def output_file(out: Path, stage: PipelineStage) -> Path:
    """File with the output of a stage's command, of all attempts."""
    return out / DONE / f"{stage.name}.log"


def run_stage(stage: PipelineStage, out: Path, lock: int | None = None, output: Path | None = None) -> None:
    """Run a stage, resuming it, and record that it is done. Raises TrainingError, Interrupted.

    Args:
        stage: of the pipeline.
        out: folder of the reproduction.
        lock: file descriptor of its lock. The command holds it, too: after this process is killed, no other starts the stage.
        output: file that the command's output is appended to; None: the terminal.
    """
    started = time.monotonic()
    resuming = ("--resume",) if stage.run_folder and (stage.run_folder / "run.json").is_file() else ()
    with _open_output(output, stage) as file:
        ended = _run_command([*PROGRAM, *stage.command, *resuming], () if lock is None else (lock,), file)
    accepted = (0, 1) if stage.run_folder else (0,)  # 1: some episodes ended in errors, which the run records
    if ended == ExitCode.INTERRUPTED:
        raise Interrupted(f"stopped in stage {stage.name}. The same command resumes")
    if ended not in accepted:
        how = f"ended with code {ended}" if ended >= 0 else f"was killed by signal {-ended}"  # 9: often for want of memory
        last = f"{_last_lines(output)}\n" if output else ""
        raise TrainingError(f"{last}stage {stage.name} {how}. The same command resumes it:\n  {stage.line()}")
    path = out / DONE / f"{stage.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"command": stage.command, "seconds": round(time.monotonic() - started, 1)}
    with atomic_write(path) as scratch:
        scratch.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if not is_done(out, stage):
        raise TrainingError(
            f"stage {stage.name} ended without its output {stage.folder('--out')}. Its command:\n  {stage.line()}"
        )


@contextmanager
def _open_output(path: Path | None, stage: PipelineStage) -> Iterator[IO[str] | None]:
    """The file, open to append, with the stage's command written to it; None for no path."""
    if path is None:
        yield None
        return
    with path.open("a", encoding="utf-8") as file:
        print(f"$ {stage.line()}", file=file, flush=True)
        yield file


def _last_lines(path: Path, count: int = 10) -> str:
    """The last lines of a file, with its name."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    return "\n".join((f"end of {path}:", *(f"  {line}" for line in lines)))


def _run_command(words: Sequence[str], kept: Sequence[int], output: IO[str] | None) -> int:
    """Exit code of a command; it is stopped with this process, and keeps the given file descriptors open."""
    errors = None if output is None else subprocess.STDOUT
    with stop_signals() as stopped, subprocess.Popen(words, pass_fds=kept, stdout=output, stderr=errors) as process:
        while process.poll() is None and not stopped():
            time.sleep(POLL_S)
        if stopped():  # Ctrl-C reaches the command from the terminal, SIGTERM and SIGHUP do not
            process.terminate()
        ended = process.wait()
    return ExitCode.INTERRUPTED if stopped() else ended


def stage(name: str, verb: str, options: Mapping[str, object], seconds: float) -> PipelineStage:
    """The stage of a command: its verb, and its options as `option_words` takes them."""
    return PipelineStage(name, (*verb.split(), *option_words(options)), seconds)
