"""Worker processes: how one is started, watched and ended. What it is asked to play is the runner's business."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...envs.base import EnvOptions, EvalProtocol, ObservationSpec
from ...envs.paths import cache_errors
from . import wire

LIBRARIES = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM", "NUMBA_NUM")
ONE_THREAD = {f"{library}_THREADS": "1" for library in LIBRARIES}
"""Sums must not depend on how many threads share them, nor workers compete for cores."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker builds; the same for every worker of a run."""

    suite: str
    """Any suite of the family, by name or import path."""
    options: EnvOptions
    protocol: EvalProtocol
    observation_spec: ObservationSpec
    python: str = sys.executable
    """Interpreter, for suites that have their own."""

    def hello(self) -> dict[str, Any]:
        """First message to a new worker."""
        return {
            "type": "hello",
            "version": wire.VERSION,
            "suite": self.suite,
            "options": asdict(self.options),
            "protocol": self.protocol.to_json(),
            "needs": self.observation_spec.to_json(),
        }

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The worker's environment variables."""
        drawing = {"MUJOCO_GL": self.options.gl, "PYOPENGL_PLATFORM": self.options.gl}
        blind = {"MUJOCO_GL": "disabled"}
        return {
            **base,
            **ONE_THREAD,
            "PYTHONHASHSEED": "0",  # some simulators walk through sets of names
            "LP_NUM_THREADS": "0",  # software GL draws in the worker's own thread
            "PYTHONIOENCODING": "utf-8:replace",  # its log is read as UTF-8, whatever the terminal is
            "NUMBA_CACHE_DIR": str(Path(self.options.cache) / "numba"),
            **(drawing if self.options.gl in ("egl", "osmesa") else blind),
            "PYTHONPATH": import_path() if self.python == sys.executable else str(bridge(Path(self.options.cache))),
        }


def import_path() -> str:
    """Where this process finds modules, for a worker that must find the same ones."""
    return os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)


def bridge(cache: Path) -> Path:
    """A folder that gives another interpreter what a worker needs of this package, and nothing else that is installed here."""
    home = Path(__file__).resolve().parents[2]
    folder = cache / f"bridge-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    with cache_errors(cache):
        (folder / "nora_bench").mkdir(parents=True, exist_ok=True)
        for package in ("envs", "harness", "policies"):
            with suppress(FileExistsError):
                (folder / "nora_bench" / package).symlink_to(home / package, target_is_directory=True)
    return folder


class WorkerProcess:
    """One running worker process and our end of its socket; it waits for the setup's `hello`."""

    def __init__(self, setup: WorkerSetup, log: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            self.process = subprocess.Popen(
                [setup.python, "-m", "nora_bench.harness.execution.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=setup.environment(os.environ),
                cwd=log.parent,
                start_new_session=True,  # Ctrl-C is for the runner, which then ends its workers
            )
        self.channel = wire.Channel(ours)

    def fileno(self) -> int:
        """Of our end of the socket."""
        return self.channel.socket.fileno()

    def close(self) -> None:
        """Hang up; a worker that is not gone a moment later is killed with all that it started."""
        self.channel.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=2)
        self.kill()

    def kill(self) -> str:
        """End it now. How it ended, in words; a worker that had ended by itself says how."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=0.2)
        found = self.process.returncode
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.channel.close()
        return ending(found)


def log_tail(log: Path, lines: int = 12) -> str:
    """The last lines of a worker's log, for a message to the user."""
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - 8192))
        text = handle.read().decode(errors="replace")
    said = "".join(f"    {line}\n" for line in text.splitlines()[-lines:])
    return f"The log ends with ({log}):\n{said}Type: nora-bench doctor"


def ending(returncode: int | None) -> str:
    """How a process ended, in words; empty for one that had not ended, or in order."""
    if not returncode:
        return ""
    if returncode < 0:
        return f"killed by signal {-returncode} ({signal.strsignal(-returncode)})"
    return f"exit code {returncode}"
