"""nora-bench's own folder: compiled helpers, generated and downloaded assets, settings found by trying.

A folder that holds all that is needed is enough, whether it can be written or not (an image of a container, one that
several users share).
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import SuiteError

SET_HOME = "export NORA_BENCH_HOME=FOLDER"
"""What somebody types whose cache cannot be written."""
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What `flock` answers on file systems that have no locks (some network drives)."""
PROBE_BYTES = b"\0" * 65536
"""Enough for a full disk to refuse it; an empty file still fits there."""


class CacheError(SuiteError):
    """The cache lacks something and cannot be written."""


def cache_home() -> Path:
    """`NORA_BENCH_HOME` where set, else `nora-bench` in the XDG cache folder. Not created here.

    Raises CacheError for a user who has no home folder and names none.
    """
    named = os.environ.get("NORA_BENCH_HOME") or ""
    try:
        if named:
            return Path(named).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nora-bench"
    except RuntimeError as error:
        why = str(error).rstrip(".")
        raise CacheError(f"there is no folder for nora-bench's caches: {why}. Type: {SET_HOME}") from None


def ensure_cache_home() -> Path:
    """`cache_home()`, made where it is missing. Raises CacheError."""
    home = cache_home()
    with cache_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def cache_errors(place: Path) -> Iterator[None]:
    """Turns a system's refusal to write below `place` into a CacheError that says what to type."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"{error.filename or place} cannot be written: {error.strerror or error}. nora-bench keeps its caches there. "
            f"Type: {SET_HOME} (a folder of yours on a disk with room; see `df -h {nearest_folder(place)}`)"
        ) from None


def nearest_folder(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def write_problem(folder: Path) -> str:
    """Why the system lets nobody write files into a folder, found by writing one; empty where it does.

    A folder that is missing is tried in the nearest one above it that is there.
    """
    place = nearest_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(PROBE_BYTES)
            file.flush()
    except OSError as error:
        return f"{place} cannot be written: {error.strerror or error}"
    return ""
