"""One tree of errors: what can go wrong on a user's side, with the exit code that a command ends with.

A message names the thing, the cause and what to type next; fields hold the parts that a program or a test wants.
An exception outside this tree is a bug of nora-bench and ends with a traceback.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit codes of `nora-bench`."""

    OK = 0
    """Success."""
    ISSUES_FOUND = 1
    """Finished, with issues: episodes that ended in errors, a failed verification or comparison."""
    BAD_INPUT = 2
    """Bad input: unknown name, bad value, a folder in use."""
    MISSING_REQUIREMENT = 3
    """Missing requirement: a dependency, assets, disk space or memory."""
    POLICY = 4
    """The policy failed to load, raised, or returned an invalid action chunk."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or SIGTERM; finished episodes are kept."""


class NoraBenchError(Exception):
    """Base of all errors that a command reports as a message instead of a traceback."""

    exit_code = ExitCode.ISSUES_FOUND

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InputError(NoraBenchError):
    """Bad input from the user.

    Attributes:
        option: the option or field at fault, such as `--seeds`; empty where there is none.
        value: its value as given.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, message: str, *, option: str = "", value: object = None) -> None:
        super().__init__(message)
        self.option, self.value = option, value


class UnknownName(InputError, KeyError):
    """A name that is not among the known ones.

    Attributes:
        kind: what is named: `suite`, `policy`, `protocol` ...
        name: the name as given.
        known: all known names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        message = f"unknown {kind} {name!r}{nearest(name, self.known)}; {hint or 'known: ' + ', '.join(self.known)}"
        super().__init__(message, option=kind, value=name)


class MissingRequirementError(NoraBenchError):
    """This machine lacks something; the message holds the command that installs or frees it."""

    exit_code = ExitCode.MISSING_REQUIREMENT


class SuiteError(MissingRequirementError):
    """A suite cannot be used here: its simulator, assets or cache are missing."""


class PolicyError(NoraBenchError):
    """A policy cannot be built, or answered with something that is no action chunk."""

    exit_code = ExitCode.POLICY


class PolicyFailedError(PolicyError):
    """The policy raised or broke its contract during a run."""


class StoreError(InputError):
    """A run's folder cannot be read or written as asked."""


class StoreLocked(StoreError):
    """Another process is writing to the run's folder."""


class DiskError(StoreError):
    """The disk is full or fails."""

    exit_code = ExitCode.MISSING_REQUIREMENT


class Interrupted(NoraBenchError):
    """The user stopped the command."""

    exit_code = ExitCode.INTERRUPTED


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean a, b?)`, or an empty string where no known name is close."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" (did you mean {', '.join(close)}?)" if close else ""


OUT_OF_RESOURCES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""System errors of a lack of disk space, memory or file handles, as opposed to a wrong name."""


def message_for(error: BaseException) -> str:
    """Message for an error: its own, with commands to type where the operating system wrote it."""
    if isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES:
        return f"{error}. See `df -h`, `free -g` and `ulimit -a`; another folder: --out FOLDER, export NORA_BENCH_HOME=FOLDER"
    if isinstance(error, IsADirectoryError) and error.filename:
        return f"{error.filename} is a folder, expected a file. Name a file, such as {error.filename}/NAME"
    if isinstance(error, OSError) and isinstance(error.filename, str) and error.strerror:
        return f"{error.filename}: {error.strerror}. See `ls -ld {Path(error.filename).parent}`, or name another file or folder"
    return str(error)


def exit_code(error: BaseException) -> int | None:
    """The documented exit code of an error; None for unexpected errors (internal bugs), which print a traceback."""
    if isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES:
        return int(ExitCode.MISSING_REQUIREMENT)
    if isinstance(error, KeyboardInterrupt):
        return int(ExitCode.INTERRUPTED)
    return int(error.exit_code) if isinstance(error, NoraBenchError) else None
