"""nora-bench's cache folder: compiled helpers, generated and downloaded assets, probed settings.

A folder with all required content need not be writable (a container image, a folder shared by several users).
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import SuiteError

SET_HOME = "export NORA_BENCH_HOME=FOLDER"
"""Command that moves an unwritable cache."""
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of `flock` on file systems without locks (some network drives)."""
PROBE_BYTES = b"\0" * 65536
"""Bytes of a trial write: enough to fail on a full disk, where an empty file still fits."""


class CacheError(SuiteError):
    """The cache is incomplete and not writable."""


def cache_home() -> Path:
    """`NORA_BENCH_HOME` where set, else `nora-bench` in the XDG cache folder. Not created here.

    Raises CacheError for a user without a home folder who names no cache.
    """
    named = os.environ.get("NORA_BENCH_HOME") or ""
    try:
        if named:
            return Path(named).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nora-bench"
    except RuntimeError as error:
        why = str(error).rstrip(".")
        raise CacheError(f"cache folder of nora-bench not found: {why}. Type: {SET_HOME}") from None


def ensure_cache_home() -> Path:
    """`cache_home()`, created if missing. Raises CacheError."""
    home = cache_home()
    with cache_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def cache_errors(place: Path) -> Iterator[None]:
    """Turn an OSError of writing below `place` into a CacheError with the command to type."""
    try:
        yield
    except BrokenPipeError:  # of printing: a cache is no pipe
        raise
    except OSError as error:
        raise CacheError(
            f"{error.filename or place} cannot be written: {error.strerror or error}. nora-bench keeps its caches there. "
            f"Type: {SET_HOME} (a writable folder on a disk with room; see `df -h {nearest_folder(place)}`)"
        ) from None


def nearest_folder(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def write_problem(folder: Path) -> str:
    """Reason why files cannot be written to a folder, found by a trial write; empty if they can.

    A missing folder is tested by its nearest existing parent.
    """
    place = nearest_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(PROBE_BYTES)
            file.flush()
    except OSError as error:
        return f"{place} cannot be written: {error.strerror or error}"
    return ""


@contextmanager
def file_lock(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a file lock, which the system releases when the process ends, however it ends.

    `waiting` is called where another process holds it. On file systems without locks, and on Windows, nothing is held: writers of
    packs rename complete folders.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("w") as file:
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
        yield
