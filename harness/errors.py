"""What can go wrong on a user's side, and the exit code of each. A message says what, why, and what to type."""

from __future__ import annotations

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command of ours ends."""

    OK = 0
    """All asked for was done."""
    FINDINGS = 1
    """Finished, and something is wrong: episodes that ended in errors, a verdict that failed."""
    BAD_INPUT = 2
    """The command cannot mean anything: unknown name, bad value, a folder in use."""
    NOT_ABLE = 3
    """This machine cannot do it yet: a dependency, assets, disk space or memory is missing."""
    POLICY = 4
    """The policy cannot be built, raised, or answered with something that is not an answer."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or SIGTERM; what had finished is kept."""


class BenchError(Exception):
    """Anything that a command reports in words instead of a traceback."""

    exit_code = ExitCode.FINDINGS


class InputError(BenchError):
    """What was asked for makes no sense; the message names the nearest thing that does."""

    exit_code = ExitCode.BAD_INPUT


class NotAble(BenchError):
    """Something is missing on this machine; the message holds the command that helps."""

    exit_code = ExitCode.NOT_ABLE


class PolicyFailed(BenchError):
    """The policy raised or broke its contract."""

    exit_code = ExitCode.POLICY


class Interrupted(BenchError):
    """The user stopped the command."""

    exit_code = ExitCode.INTERRUPTED


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
    """The documented exit code of an error; None for one that is a bug of ours and deserves a traceback."""
    from ..envs.base import SuiteError
    from ..policies.base import PolicyError
    from ..policies.fast import FastError
    from ..policies.registry import PolicyRequestError
    from ..results.store.reader import StoreError, StoreLocked
    from ..results.store.writer import DiskError

    table: list[tuple[type[BaseException], ExitCode]] = [
        (DiskError, ExitCode.NOT_ABLE),
        (StoreLocked, ExitCode.BAD_INPUT),
        (StoreError, ExitCode.BAD_INPUT),
        (SuiteError, ExitCode.NOT_ABLE),
        (PolicyRequestError, ExitCode.BAD_INPUT),
        (PolicyError, ExitCode.POLICY),
        (FastError, ExitCode.BAD_INPUT),
        (KeyboardInterrupt, ExitCode.INTERRUPTED),
    ]
    if isinstance(error, BenchError):
        return int(error.exit_code)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return int(ExitCode.NOT_ABLE)
    return next((int(code) for kind, code in table if isinstance(error, kind)), None)
