"""Worker processes: start, environment, end. What a worker runs is decided by the executor."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...envs.base import OPENGL_BACKENDS
from ...envs.bridge import bridge
from ..planning.run_settings import WorkerSetup
from . import wire

LIBRARIES = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM", "NUMBA_NUM")
ONE_THREAD = {f"{library}_THREADS": "1" for library in LIBRARIES}
"""Sums must not depend on the number of threads, and workers must not compete for cores."""


def hello(setup: WorkerSetup) -> dict[str, Any]:
    """First message to a new worker."""
    return {
        "type": "hello",
        "version": wire.VERSION,
        "suite": setup.suite,
        "options": asdict(setup.options),
        "protocol": setup.protocol.to_json(),
        "observation_spec": setup.observation_spec.to_json(),
    }


def environment(setup: WorkerSetup, base: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment variables."""
    gl = setup.options.gl
    rendering = {"MUJOCO_GL": gl, "PYOPENGL_PLATFORM": gl} if gl in OPENGL_BACKENDS else {"MUJOCO_GL": "disabled"}
    return {
        **base,
        **ONE_THREAD,
        "PYTHONHASHSEED": "0",  # some simulators iterate over sets of names
        "LP_NUM_THREADS": "0",  # software GL renders in the worker's own thread
        "PYTHONIOENCODING": "utf-8:replace",  # its log is read as UTF-8, whatever the terminal is
        "NUMBA_CACHE_DIR": str(Path(setup.options.cache) / "numba"),
        **rendering,
        "PYTHONPATH": import_path() if setup.python == sys.executable else str(bridge(Path(setup.options.cache))),
    }


def import_path() -> str:
    """This process's module search path, for a worker that must find the same modules."""
    return os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)


class WorkerProcess:
    """One running worker process and the executor's end of its socket; the worker waits for `hello`."""

    def __init__(self, setup: WorkerSetup, log: Path) -> None:
        own, inherited = socket.socketpair()
        with inherited, log.open("ab") as output:
            self.process = subprocess.Popen(
                [setup.python, "-m", "nora_bench.harness.execution.worker", str(inherited.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[inherited.fileno()],
                env=environment(setup, os.environ),
                cwd=log.parent,
                start_new_session=True,  # Ctrl-C goes to the executor, which then ends its workers
            )
        self.channel = wire.Channel(own)

    def fileno(self) -> int:
        """File descriptor of the executor's end of the socket."""
        return self.channel.socket.fileno()

    def close(self) -> None:
        """Close the socket; a worker that has not exited after 2 s is killed with all its child processes."""
        self.channel.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=2)
        self.kill()

    def kill(self) -> str:
        """Kill it and its child processes. How it had ended before that, in words; empty for a worker that was still running."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=0.2)
        returncode = self.process.returncode
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.channel.close()
        return ending(returncode)


def log_tail(log: Path, lines: int = 12) -> str:
    """The last lines of a worker's log, for a message to the user."""
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - 8192))
        text = handle.read().decode(errors="replace")
    tail = "".join(f"    {line}\n" for line in text.splitlines()[-lines:])
    return f"The log ends with ({log}):\n{tail}Type: nora-bench doctor"


def ending(returncode: int | None) -> str:
    """End of a process in words; empty for one that has not ended, or ended with code 0."""
    if not returncode:
        return ""
    if returncode < 0:
        return f"killed by signal {-returncode} ({signal.strsignal(-returncode)})"
    return f"exit code {returncode}"
