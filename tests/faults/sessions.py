"""A session of a run, in a process of its own that can be killed, stopped and tampered with.

The process is forked: it is a real one, with real workers, and need not import everything anew. `tamper` is called in it
before the command line is; what it changes is gone with the process.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from nora_bench.harness.cli import main
from nora_bench.harness.execution import worker_pool
from nora_bench.harness.execution.signals import STOP_SIGNALS

from . import orders

LIMIT_S = 1200
"""Seconds after which a session has hung: far more than any takes on any machine."""


@dataclass(frozen=True)
class Ended:
    """How a session ended."""

    code: int
    """Exit code; minus the signal's number for one that was killed."""
    said: str


def warm() -> None:
    """Import a run's modules once, for all later sessions."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), suppress(SystemExit):
        main(["run", "--suite", "fakes:toy", "--policy", "fakes:Walk", "--dry-run"])
    for module in ("nora_bench.harness.replay.video", "websockets.sync.server", "websockets.sync.client"):
        with suppress(ImportError):
            importlib.import_module(module)


class Session:
    """A started nora-bench command."""

    def __init__(self, folder: Path, args: Sequence[str], tamper: Callable[[], None] = lambda: None) -> None:
        self._said = folder / f"said-{time.monotonic_ns()}.txt"
        self._said.touch()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become_command(folder, self._said, args, tamper)

    def wait(self) -> Ended:
        """Wait for its end."""
        poll, handle = select.poll(), os.pidfd_open(self.pid)
        poll.register(handle, select.POLLIN)
        over = poll.poll(LIMIT_S * 1000)
        os.close(handle)
        if not over:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        assert over, f"no end within {LIMIT_S} s: {self._said.read_text(errors='replace')}"
        return Ended(os.waitstatus_to_exitcode(status), self._said.read_text(errors="replace"))

    def has_stopped(self) -> bool:
        """Whether a signal has stopped it."""
        return _state(self.pid) == "T"


def _become_command(folder: Path, said: Path, args: Sequence[str], tamper: Callable[[], None]) -> None:
    """Never returns."""
    code: object = 99
    try:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for descriptor in (1, 2):
            os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND), descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        os.environ |= {orders.FOLDER: str(folder), "NORA_BENCH_HOME": str(folder.parent / "home"), "COLUMNS": "200"}
        os.chdir(folder)
        sys.argv = ["nora-bench", *args]
        _expire_hung_workers_at_once(folder)
        tamper()
        main(args)
    except SystemExit as left:
        code = left.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _expire_hung_workers_at_once(folder: Path) -> None:
    """Deadlines expire at once for a hung worker and never for another: real ones take time, and errors on a loaded machine."""
    check = worker_pool.WorkerPool._check_deadlines

    def expiring(self: worker_pool.WorkerPool, now: float) -> None:
        for slot in self.slots:
            silent = slot.worker and slot.waiting_since is not None and not select.select([slot.worker], [], [], 0)[0]
            if slot.worker and silent and _hangs(folder, slot.worker.process.pid):
                slot.waiting_since, slot.overdue = now - self._timeout_s - 1, worker_pool.GRACE_S
        check(self, now)

    worker_pool.WorkerPool._check_deadlines = expiring


def _hangs(folder: Path, pid: int) -> bool:
    return _state(pid) == "T" or (folder / f"hung-{pid}").exists()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def relatives(folder: Path) -> list[int]:
    """Processes of that folder's run that still exist, without this one."""
    mark = f"{orders.FOLDER}={folder}".encode()
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if path.name != str(os.getpid()) and _carries(path, mark)]


def _carries(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0") and _state(int(process.name)) != "Z"
    except OSError:
        return False
