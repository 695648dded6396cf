"""Which episodes a writer has begun: `begun.jsonl`, a line for each start, there while a session goes on.

A writer that is killed cannot say what it was playing; the next one reads it here. An episode that was begun and came to no
end is then not begun anew as if nothing had been. A process that dies loses none of its lines; a machine may lose the last.
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
    """The file of a run's folder, written by the one who writes the run. Whatever the disk refuses is an OSError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STARTED_FILE
        self._handle: io.FileIO | None = None

    def add(self, key: str, attempts: int, policy_losses: int) -> None:
        """The episode is begun: how often it has been, this time included, and how often the policy lost it before."""
        if self._handle is None:
            self._handle = io.FileIO(self._path, "a")
        os.write(
            self._handle.fileno(), msgspec.json.encode(Start(key=key, attempts=attempts, policy_losses=policy_losses)) + b"\n"
        )

    def left(self) -> dict[str, dict[str, int]]:
        """What a writer that was killed had begun: key -> `attempts`, `policy_losses`; empty after one that had an end."""
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
        """Leave the file as it is."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def clear(self) -> None:
        """The session has an end, and what it left unfinished is in run.json."""
        self.close()
        self._path.unlink(missing_ok=True)
