"""One writer per file: by a lock that the system frees, or by a file that names the writer where there are no locks."""

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
"""A start time read twice differs by less (the clock is set), one of two processes that had one number by more."""


def hold(handle: IO[Any], path: Path) -> Callable[[], None]:
    """Lock an open file until it is closed, however its process ends; what is returned is called after closing it.

    On a file system without locks the process is named in a file beside it instead (`<name>.writer`). The file of a process
    that has ended without removing it counts for nothing on the same machine; only the user knows about other machines.

    Raises:
        StoreLocked: another process holds it.
        OSError: the system refuses for another reason.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreLocked(
            f"{path.parent} is being written by another process; wait for it, or find it with `fuser {path}`, "
            "or choose another --out"
        ) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return _write_lock_file(path.with_name(f"{path.name}.writer"))
    return lambda: None


def _write_lock_file(sign: Path) -> Callable[[], None]:
    """Put a file there that names this process; what is returned removes it. Raises StoreLocked where one is there."""
    for _ in range(2):
        try:
            with sign.open("x", encoding="utf-8") as file:
                json.dump([socket.gethostname(), os.getpid(), _start_time(os.getpid())], file)
        except FileExistsError:
            _require_stale_lock(sign)
            sign.unlink(missing_ok=True)
        else:
            return lambda: sign.unlink(missing_ok=True)
    raise StoreLocked(f"{sign.parent} is being written by another process; wait for it, or choose another --out")


def _require_stale_lock(sign: Path) -> None:
    """Raises StoreLocked unless the process that a sign names was on this machine and has ended."""
    try:
        host, pid, started = json.loads(sign.read_bytes())
        now = _start_time(int(pid))
        ended = host == socket.gethostname() and (now is None or abs(now - started) > SAME_START_S)
        who = f"process {pid} on {host}"
    except FileNotFoundError:
        return
    except (ValueError, TypeError):
        ended, who = False, "another process"
    if not ended:
        raise StoreLocked(
            f"{sign.parent} is being written by {who} (its file system has no locks, so {sign.name} says who writes); "
            f"wait for it, or choose another --out. If that process has ended: rm {sign}"
        )


def _start_time(pid: int) -> float | None:
    """When a process of this machine started, s since 1970; None where there is none."""
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
