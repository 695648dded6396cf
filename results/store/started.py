"""Started episodes: `begun.jsonl`, one line per start, present during a session.

After a killed writer, the next one reads here which episodes were in progress, so that their interrupted starts count. A process
that dies loses none of its lines; a machine that fails may lose the last.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TypedDict

import msgspec

STARTED_FILE = "begun.jsonl"


class Start(TypedDict):
    """One line."""

    key: str
    attempts: int
    policy_losses: int


_DECODER = msgspec.json.Decoder(Start)


class StartedFile:
    """The file in a run's folder, written by the writer of the run. Disk failures raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STARTED_FILE
        self._handle: io.FileIO | None = None

    def add(self, key: str, attempts: int, policy_losses: int) -> None:
        """Record a start: the number of starts, this one included, and of earlier losses by the policy."""
        if self._handle is None:
            self._handle = io.FileIO(self._path, "a")
        os.write(
            self._handle.fileno(), msgspec.json.encode(Start(key=key, attempts=attempts, policy_losses=policy_losses)) + b"\n"
        )

    def interrupted(self) -> dict[str, dict[str, int]]:
        """Episodes that a killed writer had started: key -> `attempts`, `policy_losses`; empty after a regular end."""
        found: dict[str, dict[str, int]] = {}
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return found
        for line in lines:
            try:
                start = _DECODER.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # torn with the writer
            found[start["key"]] = {"attempts": start["attempts"], "policy_losses": start["policy_losses"]}
        return found

    def close(self) -> None:
        """Close the file without changing it."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def clear(self) -> None:
        """Remove the file: the session has ended, and its unfinished episodes are in run.json."""
        self.close()
        self._path.unlink(missing_ok=True)
