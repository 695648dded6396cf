"""What this machine lets us write: folders for runs and caches, temporary files, locks, characters. Found by writing."""

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
from .checks import Cure, Finding, Status, ok

DISK_GIB = 2.0
"""Room for a run of all four suites with its actions, and for caches."""
OUT = "nora-bench run --out FOLDER ..."
WHY = "results and caches are kept there"
MARKS = "\u2713\u00b1\u03c4\u03c0"
"""Characters that our tables and findings hold."""


def folders(runs: Path) -> Iterator[Finding]:
    """Every folder that is written to: for runs, for caches, for temporary files."""
    yield disk("disk for runs", runs, OUT)
    try:
        yield cache(cache_home())
    except CacheError as error:
        yield Finding("disk for caches", Status.problem, str(error).partition(" Type:")[0], WHY, Cure(hand=SET_HOME))
    yield temporary()


def disk(name: str, place: Path, hand: str) -> Finding:
    """Whether there is room in a folder, leave to write to it, and a file system with locks."""
    if problem := write_problem(place):
        return Finding(name, Status.problem, problem, WHY, Cure(hand=hand))
    free = free_disk_gib(place)
    found = f"{free:.1f} GiB free at {place}"
    if free < DISK_GIB:
        return Finding(name, Status.note, found, f"a full run and its caches want {DISK_GIB:g} GiB", Cure(hand=hand))
    if problem := lockless(place):
        why = "a file beside the records names the process that writes; one that a killed process left elsewhere stays"
        return Finding(name, Status.note, f"{found}, without locks: {problem}", why, Cure(hand=hand))
    return ok(name, found)


def cache(home: Path) -> Finding:
    """As `disk`; one that cannot be written will do where everything is in it."""
    found = disk("disk for caches", home, SET_HOME)
    if found.status is not Status.problem or not complete(home):
        return found
    why = "what is missing there later (another version's stand-ins, compiled helpers) cannot be added"
    return Finding(found.name, Status.note, f"{found.found}; what runs need is there", why, found.cure)


def complete(home: Path) -> bool:
    """Whether a cache that cannot be written is there and holds LIBERO's meshes, or a pack elsewhere makes it unnecessary."""
    from ...envs.libero.assets.packs import resolve

    try:
        return home.is_dir() and bool(resolve("auto", "libero_spatial"))
    except SuiteError:
        return False


def lockless(place: Path) -> str:
    """Why files there cannot be locked; empty where they can."""
    with tempfile.TemporaryFile(dir=nearest_folder(place)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                return str(error.strerror)
            raise
    return ""


def temporary() -> Finding:
    """Whether temporary files can be written (TMPDIR, /tmp, ...)."""
    name, why, cure = "temporary files", "models, films and self-checks pass through them", Cure(hand="export TMPDIR=FOLDER")
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        return Finding(name, Status.problem, str(error.strerror), why, cure)
    if problem := write_problem(folder):
        return Finding(name, Status.problem, problem, why, cure)
    return ok(name, f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB free at {folder}")


def terminal() -> Finding:
    """Whether the terminal, or what stands for it, takes every character that we print."""
    if printable(MARKS):
        return ok("terminal", _encoding())
    why = "characters that it lacks are printed as ?"
    return Finding("terminal", Status.note, _encoding(), why, Cure(hand="export PYTHONIOENCODING=utf-8"))


def printable(text: str) -> bool:
    """Whether stdout's encoding has all characters of a text."""
    try:
        text.encode(_encoding())
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"
