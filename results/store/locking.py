"""One writer per file: an operating system lock, or a file that names the writer on file systems without locks."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ...envs.errors import StoreLocked
from ...envs.paths import WITHOUT_LOCKS

SAME_START_S = 60.0
"""Tolerance for the start time of one process (clock adjustments); processes that reused its number differ by more."""


def hold(handle: IO[Any], path: Path) -> Callable[[], None]:
    """Lock an open file until it is closed or its process ends. Returns a function to call after closing it.

    On a file system without locks, a file beside it names the process (`<name>.writer`). A file left by a process that has ended
    is ignored on the same machine, and on others if Slurm has requeued the job of that process; else only the user can tell.

    Raises:
        StoreLocked: another process holds it.
        OSError: locking failed for another reason.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreLocked(
            f"{path.parent} is being written by another process. Wait for it, find it with `fuser {path}`, "
            "or choose another --out"
        ) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return _write_lock_file(path.with_name(f"{path.name}.writer"))
    return lambda: None


def _write_lock_file(sign: Path) -> Callable[[], None]:
    """Create a file that names this process. Returns a function that removes it. Raises StoreLocked if one exists."""
    for _ in range(2):
        try:
            with sign.open("x", encoding="utf-8") as file:
                json.dump([socket.gethostname(), os.getpid(), _start_time(os.getpid()), *_slurm_job()], file)
        except FileExistsError:
            _require_stale_lock(sign)
            sign.unlink(missing_ok=True)
        else:
            return lambda: sign.unlink(missing_ok=True)
    raise StoreLocked(f"{sign.parent} is being written by another process; wait for it, or choose another --out")


def _require_stale_lock(sign: Path) -> None:
    """Raises StoreLocked unless the process named in a lock file has ended, on this machine or with its requeued job."""
    try:
        host, pid, started, *job = json.loads(sign.read_bytes())
        now = _start_time(int(pid))
        ended = host == socket.gethostname() and (now is None or abs(now - started) > SAME_START_S)
        ended = ended or (job[:1] == _slurm_job()[:1] != [] and job != _slurm_job())
        who = f"process {pid} on {host}"
    except FileNotFoundError:
        return
    except (ValueError, TypeError):
        ended, who = False, "another process"
    if not ended:
        raise StoreLocked(
            f"{sign.parent} is being written by {who} (its file system has no locks, {sign.name} names the writer); "
            f"wait for it, or choose another --out. If that process has ended: rm {sign}"
        )


def _slurm_job() -> list[str]:
    """Number and restarts of the Slurm job that this process belongs to; empty for none."""
    job = os.environ.get("SLURM_JOB_ID")
    return [job, os.environ.get("SLURM_RESTART_COUNT", "0")] if job else []


def _start_time(pid: int) -> float | None:
    """Start time of a process of this machine, s since 1970; None for a process that does not exist."""
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
