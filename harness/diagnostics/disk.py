"""Checks of what can be written: folders for runs and caches, temporary files, locks, characters. Made by writing."""

from __future__ import annotations

import fcntl
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...envs.errors import SuiteError
from ...envs.paths import SET_HOME, WITHOUT_LOCKS, CacheError, cache_home, nearest_folder, write_problem
from ..planning.estimate import free_disk_gib
from .checks import CheckResult, Fix, Status, ok

DISK_GIB = 2.0
"""Space for a run of all four LIBERO suites with its actions, and for caches."""
OUT = "nora-bench run --out FOLDER ..."
REASON = "results and caches are stored there"
MARKS = "\u2713\u00b1\u03c4\u03c0"
"""Non-ASCII characters of tables and check results."""


def folders(runs: Path) -> Iterator[CheckResult]:
    """Checks of every folder that is written to: runs, caches, temporary files."""
    yield disk("disk for runs", runs, OUT)
    try:
        yield cache(cache_home())
    except CacheError as error:
        yield CheckResult("disk for caches", Status.problem, str(error).partition(" Type:")[0], REASON, Fix(manual=SET_HOME))
    yield temporary()


def disk(name: str, place: Path, manual: str) -> CheckResult:
    """Free space in a folder, permission to write, and a file system with locks."""
    if problem := write_problem(place):
        return CheckResult(name, Status.problem, problem, REASON, Fix(manual=manual))
    free = free_disk_gib(place)
    observed = f"{free:.1f} GiB free at {place}"
    if free < DISK_GIB:
        return CheckResult(name, Status.note, observed, f"a full run and its caches need {DISK_GIB:g} GiB", Fix(manual=manual))
    if problem := lockless(place):
        reason = "a lock file names the writing process instead; one that a killed process left on another machine stays"
        return CheckResult(name, Status.note, f"{observed}, without locks: {problem}", reason, Fix(manual=manual))
    return ok(name, observed)


def cache(home: Path) -> CheckResult:
    """Check the cache like `disk`; a read-only cache is enough where it is complete."""
    result = disk("disk for caches", home, SET_HOME)
    if result.status is not Status.problem or not complete(home):
        return result
    reason = "files needed later (another version's stand-ins, compiled helpers) cannot be added"
    return CheckResult(result.name, Status.note, f"{result.observed}; complete for runs", reason, result.fix)


def complete(home: Path) -> bool:
    """Whether a read-only cache exists, and LIBERO's assets are in it or elsewhere."""
    from ...envs.libero.assets.packs import resolve

    try:
        return home.is_dir() and bool(resolve("auto", "libero_spatial"))
    except SuiteError:
        return False


def lockless(place: Path) -> str:
    """Cause why files in a folder cannot be locked; empty where they can."""
    with tempfile.TemporaryFile(dir=nearest_folder(place)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                return str(error.strerror)
            raise
    return ""


def temporary() -> CheckResult:
    """Whether temporary files can be written (TMPDIR, /tmp, ...)."""
    name, reason, fix = "temporary files", "models, videos and self-checks use them", Fix(manual="export TMPDIR=FOLDER")
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        return CheckResult(name, Status.problem, str(error.strerror), reason, fix)
    if problem := write_problem(folder):
        return CheckResult(name, Status.problem, problem, reason, fix)
    return ok(name, f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB free at {folder}")


def terminal() -> CheckResult:
    """Whether standard output can encode every character that is printed."""
    if printable(MARKS):
        return ok("terminal", _encoding())
    reason = "characters outside its encoding are printed as ?"
    return CheckResult("terminal", Status.note, _encoding(), reason, Fix(manual="export PYTHONIOENCODING=utf-8"))


def printable(text: str) -> bool:
    """Whether standard output can encode a text."""
    try:
        text.encode(_encoding())
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"
