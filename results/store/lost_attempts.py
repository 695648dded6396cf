"""Lost attempts at episodes: `logs/lost_attempts.jsonl`, one line per attempt that ended without an outcome.

An episode's record counts its attempts; this file has the cause of each lost one, also where a retry succeeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import msgspec

from ...envs.errors import StoreError
from ...envs.safe_io import visible

LOST_ATTEMPTS_FILE = "logs/lost_attempts.jsonl"


class LostAttempt(TypedDict):
    """One line."""

    key: str
    """Key of the episode."""
    attempt: int
    """Number of the attempt, from 1, over all sessions."""
    by: str
    """Cause of the loss, as `cause` of a record: `machine` or `policy`."""
    cause: str
    """Phase and cause."""
    log: str
    """Log of the worker, below the run's folder."""
    time: str
    """UTC, ISO 8601."""


_DECODER = msgspec.json.Decoder(LostAttempt)


def encode(attempt: LostAttempt) -> bytes:
    """The line of one attempt, with its newline."""
    return msgspec.json.encode(attempt) + b"\n"


def read_lost_attempts(folder: Path) -> tuple[LostAttempt, ...]:
    """All lost attempts of a run, in order; empty without the file. Omits torn and damaged lines. Raises StoreError."""
    path = folder / LOST_ATTEMPTS_FILE
    try:
        with path.open("rb") as handle:
            return tuple(_parse(handle))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Check its owner and mode with `ls -l {path}`") from None


def _parse(lines: Iterator[bytes]) -> Iterator[LostAttempt]:
    for line in lines:
        try:
            yield _DECODER.decode(visible(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
