"""Errors and exit codes of the command line. The classes are defined in `envs/errors.py`."""

from __future__ import annotations

import errno

from ..envs.errors import (
    ExitCode,
    InputError,
    Interrupted,
    MissingRequirementError,
    NoraBenchError,
    PolicyFailedError,
    UnknownName,
)

__all__ = [
    "ExitCode",
    "InputError",
    "Interrupted",
    "MissingRequirementError",
    "NoraBenchError",
    "PolicyFailedError",
    "UnknownName",
    "exit_code",
    "in_words",
]


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What the system says where the disk, memory or the number of open files is what lacks, not the name."""


def in_words(error: BaseException) -> str:
    """What is said of an error: its own message, with what to type where the system wrote that message."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"{error}. See `df -h`, `free -g` and `ulimit -a`; another folder: --out FOLDER, export NORA_BENCH_HOME=FOLDER"
    if isinstance(error, IsADirectoryError) and error.filename:
        return f"{error.filename} is a folder, where a file is asked for. Name a file, such as {error.filename}/NAME"
    return str(error)


def exit_code(error: BaseException) -> int | None:
    """The documented exit code of an error; None for unexpected errors (internal bugs), which print a traceback."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return int(ExitCode.MISSING_REQUIREMENT)
    if isinstance(error, KeyboardInterrupt):
        return int(ExitCode.INTERRUPTED)
    return int(error.exit_code) if isinstance(error, NoraBenchError) else None
