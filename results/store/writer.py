"""The folder of a run: `run.json`, `episodes.jsonl` and `actions/`; one writer, any number of readers.

`episodes.jsonl` is append-only, one flushed and synced line per finished episode; `run.json` and action files are replaced
atomically. A run killed at any instant can therefore be read, and resumed with `Store.open`.

Limits: the lock is `flock`, so on a network drive it is as reliable as that drive's; on a file system without locks, a file
beside the locked one names the writing process (`locking.py`). A line is durable when the disk reports it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...envs.errors import DiskError, StoreError
from ...envs.paths import nearest_folder
from ...envs.safe_io import atomic_write
from .locking import hold
from .lost_attempts import LOST_ATTEMPTS_FILE, LostAttempt, encode
from .reader import DECODER, EPISODES_FILE, RUN_FILE, Contents, read_episodes, read_metadata
from .records import VERSION, EpisodeRecord, with_checksum
from .run_metadata import RunMetadata
from .started import STARTED_FILE, StartedFile

ACTIONS_FOLDER = "actions"
TEMPORARY = ".*.tmp"
"""Names of the files of `atomic_write`."""


class Store:
    """A run's folder, open for writing by this process alone."""

    def __init__(self, folder: Path, lock: LockedFile, metadata: RunMetadata, contents: Contents) -> None:
        self.folder = folder
        self.metadata = metadata
        """Contents of `run.json`."""
        self._lock = lock
        self._handle = lock.handle
        self._contents = contents
        self._begun = StartedFile(folder)

    @classmethod
    def create(cls, folder: Path | str, metadata: RunMetadata) -> Store:
        """A new run; sets `version` of its metadata. Raises StoreError if the folder already contains a run."""
        folder = Path(folder)
        with _disk_errors(folder):
            _make_folder(folder)
        lock = _lock(folder)
        try:
            if (folder / RUN_FILE).exists() or os.fstat(lock.handle.fileno()).st_size:
                raise StoreError(
                    f"{folder} already contains a run. "
                    f"Resume it with `nora-bench run --resume --out {folder}` or choose another --out"
                )
            metadata = metadata.update(version=VERSION)
            _clear(folder)
            _replace(folder / RUN_FILE, _run_bytes(metadata))
        except BaseException:
            lock.close()
            raise
        return cls(folder, lock, metadata, Contents())

    @classmethod
    def open(cls, folder: Path | str) -> Store:
        """The run in that folder, to be resumed. Raises StoreError if it is missing, StoreLocked if another process writes it."""
        folder = Path(folder)
        metadata = read_metadata(folder)
        lock = _lock(folder)
        try:
            _clear(folder)
            return cls(folder, lock, metadata, read_episodes(folder))
        except BaseException:
            lock.close()
            raise

    @property
    def notes(self) -> list[str]:
        """Faults found when the files were opened."""
        return list(self._contents.notes)

    def keys(self) -> set[str]:
        """Keys of all finished episodes."""
        return set(self._contents.records)

    def records(self) -> list[EpisodeRecord]:
        """All finished episodes, in the order in which they finished."""
        return list(self._contents.records.values())

    def append(self, record: EpisodeRecord) -> None:
        """Append one finished episode: when this returns, its line is on the disk.

        Raises StoreError for a key that is already recorded, for values that JSON cannot represent, and for a full disk; the
        file is then unchanged.
        """
        if record.key in self._contents.records:
            raise StoreError(
                f"{self.folder}: episode {record.key} is recorded already; `nora-bench show {self.folder} --key '{record.key}'`"
            )
        self._append(record)

    def append_again(self, record: EpisodeRecord) -> None:
        """Append a further record of a recorded episode (merges); readers resolve it (`results.store.reader`). Raises
        StoreError as `append` does for values and disks."""
        self._append(record)

    def _append(self, record: EpisodeRecord) -> None:
        line = _line(record)
        self._repair_tail()
        self._write(line)
        self._contents.add(record)

    def start(self, key: str, attempts: int, policy_losses: int) -> None:
        """Record the start of an episode, so that the next writer counts it if this one is killed (`results.store.started`)."""
        with _disk_errors(self.folder / STARTED_FILE):
            self._begun.add(key, attempts, policy_losses)

    def interrupted_starts(self) -> dict[str, dict[str, int]]:
        """Episodes that a killed writer had started and not finished: key -> `attempts`, `policy_losses`."""
        with _disk_errors(self.folder / STARTED_FILE):
            return {key: counts for key, counts in self._begun.interrupted().items() if key not in self._contents.records}

    def add_lost_attempt(self, attempt: LostAttempt) -> None:
        """Append the cause of a lost attempt (`results.store.lost_attempts`). Raises DiskError."""
        path = self.folder / LOST_ATTEMPTS_FILE
        self.make_folder(path.parent.name)
        with _disk_errors(path), path.open("ab") as handle:
            handle.write(encode(attempt))

    def clear_starts(self) -> None:
        """Forget the recorded starts: their episodes have ended or are in `run.json`."""
        with _disk_errors(self.folder / STARTED_FILE):
            self._begun.clear()

    def update_metadata(self, **fields: Any) -> None:
        """Set fields of `run.json`; readers see the old file or the new one, never a part."""
        metadata = self.metadata.update(**fields)
        _replace(self.folder / RUN_FILE, _run_bytes(metadata))
        self.metadata = metadata

    def write_actions(self, key: str, array: np.ndarray) -> str:
        """Write an episode's executed actions, [steps, action size] float64. Returns the path inside the folder."""
        name = f"{ACTIONS_FOLDER}/{safe_name(key)}.npy"
        path = self.make_folder(ACTIONS_FOLDER) / Path(name).name
        if path.parent.resolve() != self.folder.resolve() / ACTIONS_FOLDER:
            raise StoreError(f"{path.parent} leads outside the run's folder. Replace the link with a folder and start again")
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array, dtype=np.float64), allow_pickle=False)
        _replace(path, buffer.getvalue())
        return name

    def make_folder(self, name: str) -> Path:
        """The subfolder of that name, created if missing. Raises DiskError."""
        with _disk_errors(self.folder / name):
            (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    def close(self) -> None:
        """Release the lock; nothing can be appended afterwards."""
        self._begun.close()
        self._lock.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repair_tail(self) -> None:
        """Remove a torn last line, or end a complete one that lacks its newline."""
        contents = self._contents
        with _disk_errors(self.folder / EPISODES_FILE):
            if contents.torn_at is not None:
                self._handle.truncate(contents.torn_at)
                contents.torn_at = None
        if contents.unended:
            self._write(b"\n")
            contents.unended = False

    def _require_there(self) -> None:
        """Raises StoreError if the file was removed or replaced: its lines would be lost when it is closed."""
        path = self.folder / EPISODES_FILE
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._handle.fileno()), path.stat()):
                return
        raise StoreError(
            f"{path} was removed or replaced while this run was writing to it, so nothing more is recorded. "
            "Restore it, then type: nora-bench run --resume"
        )

    def _write(self, data: bytes) -> None:
        """Append all of `data` to the episodes file and sync it, or leave the file unchanged."""
        self._require_there()
        size = os.fstat(self._handle.fileno()).st_size
        with _disk_errors(self.folder / EPISODES_FILE):
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._handle.fileno(), rest) :]
                os.fsync(self._handle.fileno())
            except OSError:
                with suppress(OSError):
                    self._handle.truncate(size)
                raise


def safe_name(key: str) -> str:
    """A file name for an episode key: readable, at most 130 characters, different for different keys."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", key).strip("-")[-113:]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _line(record: EpisodeRecord) -> bytes:
    try:
        line = json.dumps(record.to_json(), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        DECODER.decode(line)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StoreError(
            f"episode {record.key} cannot be recorded: {error}; "
            "see `docs/reference/records.md` for its fields (plain numbers, no NaN)"
        ) from None
    return with_checksum(line) + b"\n"


def _run_bytes(metadata: RunMetadata) -> bytes:
    try:
        return (json.dumps(metadata.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{RUN_FILE} cannot be written: {error}; its values must be plain JSON, see `docs/reference/records.md`"
        ) from None


@dataclass(frozen=True, slots=True)
class LockedFile:
    """An open file that only this process writes to."""

    handle: io.FileIO
    release: Callable[[], None]

    def close(self) -> None:
        """Close the file and release its lock."""
        self.handle.close()
        self.release()


def _make_folder(folder: Path) -> None:
    """Create the folder. Raises StoreError where it, or one above it, is a file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next(path for path in (folder, *folder.parents) if path.exists())
        raise StoreError(f"--out {folder}: {file} is a file. Choose another --out", option="--out", value=str(folder)) from None


def _lock(folder: Path) -> LockedFile:
    """The episodes file, opened for appending and locked until it is closed."""
    path = folder / EPISODES_FILE
    with _disk_errors(path):
        handle = io.FileIO(path, "a")
        try:
            return LockedFile(handle, hold(handle, path))
        except BaseException:
            handle.close()
            raise


def _clear(folder: Path) -> None:
    """Remove the temporary files of killed writers. The caller holds the lock."""
    for place in (folder, folder / ACTIONS_FOLDER):
        for path in place.glob(TEMPORARY):
            path.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    """Replace the file atomically: after a crash it is the old one or the new one."""
    with _disk_errors(path), atomic_write(path) as scratch, scratch.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"{path} cannot be written: {error.strerror}. Recorded episodes are intact. "
            f"See `df -h {nearest_folder(path.parent)}`, then type `nora-bench run --resume`, or choose another --out"
        ) from None
