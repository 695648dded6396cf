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
    "message_for",
]


OUT_OF_RESOURCES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""System errors of a lack of disk space, memory or file handles, as opposed to a wrong name."""


def message_for(error: BaseException) -> str:
    """Message for an error: its own, with commands to type where the operating system wrote it."""
    if isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES:
        return f"{error}. See `df -h`, `free -g` and `ulimit -a`; another folder: --out FOLDER, export NORA_BENCH_HOME=FOLDER"
    if isinstance(error, IsADirectoryError) and error.filename:
        return f"{error.filename} is a folder, expected a file. Name a file, such as {error.filename}/NAME"
    return str(error)


def exit_code(error: BaseException) -> int | None:
    """The documented exit code of an error; None for unexpected errors (internal bugs), which print a traceback."""
    if isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES:
        return int(ExitCode.MISSING_REQUIREMENT)
    if isinstance(error, KeyboardInterrupt):
        return int(ExitCode.INTERRUPTED)
    return int(error.exit_code) if isinstance(error, NoraBenchError) else None
