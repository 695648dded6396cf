"""Reading a run's folder: `run.json` and `episodes.jsonl`, without a lock and without losing a line silently."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...envs.errors import StoreError
from ...envs.safe_io import inside, parse_json, read_array, visible
from ...envs.types import Array
from .lost_attempts import LostAttempt, read_lost_attempts
from .records import VERSION, ChecksumError, EpisodeRecord, verify_checksum
from .run_metadata import RunMetadata

RUN_FILE = "run.json"
EPISODES_FILE = "episodes.jsonl"

MOST_NOTES = 1000
"""Lines that are no records and are named one by one; further ones are counted."""

DECODER = msgspec.json.Decoder(EpisodeRecord)
"""One line of `episodes.jsonl` -> its record, types checked."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as read from its folder; reading takes no lock, so the run may be in progress."""

    folder: Path
    metadata: RunMetadata
    """Contents of `run.json`."""
    records: tuple[EpisodeRecord, ...]
    """In the order in which the episodes finished."""
    notes: tuple[str, ...] = ()
    """Faults of the files (omitted torn or corrupt lines, repeated keys), and evidence against determinism."""
    conflicts: tuple[tuple[str, tuple[EpisodeRecord, ...]], ...] = ()
    """Episodes recorded with different outcomes: key and one record of each. `records` has one error record instead."""
    lost_attempts: tuple[LostAttempt, ...] = ()
    """Attempts that ended without an outcome, with their causes, in order."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name


def read_run(folder: Path | str) -> StoredRun:
    """The run in that folder, read without a lock. Raises StoreError if it is missing or invalid."""
    folder = Path(folder)
    metadata = read_metadata(folder)
    contents = read_episodes(folder)
    contradicting = tuple((key, tuple(records)) for key, records in contents.conflicts.items())
    lost: tuple[LostAttempt, ...] = ()
    try:
        lost = read_lost_attempts(folder)
    except StoreError as error:  # a log: the run is valid without it
        contents.notes.append(str(error))
    return StoredRun(folder, metadata, tuple(contents.records.values()), tuple(contents.notes), contradicting, lost)


@dataclass(slots=True)
class Contents:
    """Contents of an episodes file."""

    records: dict[str, EpisodeRecord] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    torn_at: int | None = None
    """Byte at which an unfinished last line starts."""
    unended: bool = False
    """Whether the last line is complete but lacks its newline."""
    conflicts: dict[str, list[EpisodeRecord]] = field(default_factory=dict)
    """Records of different outcomes, for keys that have several."""

    def add(self, record: EpisodeRecord) -> str:
        """Add one line's record. Returns a note if its key is already present, else an empty string."""
        first = self.records.setdefault(record.key, record)
        if first is record:
            return ""
        recorded = self.conflicts.get(record.key, [first])
        like = next((one for one in recorded if outcome_fields(one) == outcome_fields(record)), None)
        if like is None:
            self.conflicts[record.key] = recorded = [*recorded, record]
            self.records[record.key] = conflict_record(recorded)
            return (
                f"contradicts what was recorded of episode {record.key} before: evidence of non-determinism; "
                "the episode counts as an error"
            )
        if same_states(like, record):
            return f"repeats episode {record.key}; the first one counts"
        return (
            f"repeats episode {record.key} with the same outcome and another trajectory: evidence of non-determinism; "
            "the first one counts"
        )


def read_metadata(folder: Path) -> RunMetadata:
    """Contents of `run.json`. Raises StoreError where it is missing or invalid."""
    path = folder / RUN_FILE
    try:
        values = parse_json(visible(path.read_bytes()))
        metadata = RunMetadata.from_json(values) if isinstance(values, dict) else None
    except NotADirectoryError:
        raise StoreError(
            f"{folder} is a file, not a run folder (with a {RUN_FILE}). Name the folder; for a bundle, type: "
            f"nora-bench import {folder}"
        ) from None
    except FileNotFoundError:
        raise StoreError(f"{folder} is not a run (no {RUN_FILE} in it); `nora-bench run --out {folder}` starts one") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Check its owner and mode with `ls -l {path}`") from None
    except ValueError as error:
        raise StoreError(f"{path} is invalid: {error}. Inspect it with `python -m json.tool {path}`") from None
    if metadata is None:
        raise StoreError(f"{path} is not a JSON object. Inspect it with `python -m json.tool {path}`")
    return metadata


def read_episodes(folder: Path) -> Contents:
    """Contents of `episodes.jsonl`; empty before the first episode has finished."""
    path = folder / EPISODES_FILE
    contents = Contents()
    try:
        with path.open("rb") as handle, _no_garbage_collection():
            _parse(handle, path, contents)
    except FileNotFoundError:
        return Contents()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Check its owner and mode with `ls -l {path}`") from None
    return contents


def _parse(lines: Iterable[bytes], path: Path, contents: Contents) -> None:
    offset = newer = omitted = 0
    for number, line in enumerate(lines, start=1):
        ended = line.endswith(b"\n")
        try:
            record = DECODER.decode(visible(verify_checksum(line)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ChecksumError) as error:
            omitted += 1
            if omitted <= MOST_NOTES or not ended:
                contents.notes.append(f"{path}: line {number} {_fault(line, error, ended)}")
            contents.torn_at = None if ended else offset
        else:
            newer = max(newer, record.version)
            contents.unended = not ended
            if note := contents.add(record):
                contents.notes.append(f"{path}: line {number} {note}")
        offset += len(line)
    if omitted > MOST_NOTES:
        contents.notes.append(f"{path}: {omitted} lines in all are not episode records")
    contents.notes += (f"{path}: {note}" for note in outcome_contradictions(contents.records.values()))
    if newer > VERSION:
        contents.notes.append(f"{path}: has records of format {newer}, newer than {VERSION}; unknown fields were omitted")


def _fault(line: bytes, error: Exception, ended: bool) -> str:
    if ended:
        return f"is not an episode record and was omitted ({error})"
    return f"is unfinished ({len(line)} bytes) and does not count; the next episode recorded takes its place"


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Garbage collection off: parsing creates a million objects that all stay, and collecting would triple its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def outcome_fields(record: EpisodeRecord) -> tuple[Any, ...]:
    """The fields in which two records of one episode must agree."""
    return record.success, record.success_any, dict(record.measures)


def same_states(one: EpisodeRecord, other: EpisodeRecord) -> bool:
    """Whether two records have the same trajectory hash, or one of them has none."""
    return not (one.trajectory_sha256 and other.trajectory_sha256) or one.trajectory_sha256 == other.trajectory_sha256


def conflict_record(records: Sequence[EpisodeRecord]) -> EpisodeRecord:
    """The error record of an episode with contradictory records; names every outcome, independent of the order of lines.

    Such records show that a policy, a simulator or a machine is not deterministic. The true outcome cannot be known, so the
    episode counts as an error, whose bounds cover it.
    """
    outcomes = " and ".join(sorted({_outcome_text(record) for record in records}))
    return replace(
        records[0],
        success=None,
        success_any=None,
        measures={},
        termination="error",
        error=f"recorded with different outcomes: {outcomes}",
        cause="policy" if any(record.cause == "policy" for record in records) else "machine",
        attempts=max(record.attempts for record in records),
        policy_losses=max(record.policy_losses for record in records),
        actions=None,
        actions_sha256=None,
        trajectory_sha256=None,
        features={},
    )


def _outcome_text(record: EpisodeRecord) -> str:
    outcome = {True: "success", False: "failure", None: "error"}[record.success]
    own = {"success_any": record.success_any} if record.success_any not in (None, record.success) else {}
    more = [f"{name} {value}" for name, value in sorted({**own, **record.measures}.items())]
    return f"{outcome} after {record.steps} steps" + (f" ({', '.join(more)})" if more else "")


def outcome_contradictions(records: Iterable[EpisodeRecord]) -> Iterator[str]:
    """A note on seeds of one scene and protocol with bit-identical states and different success."""
    found: dict[tuple[Any, ...], EpisodeRecord] = {}
    pairs: list[tuple[str, str]] = []
    for record in records:
        if record.success is None or not record.trajectory_sha256:
            continue
        scene = (record.trajectory_sha256, *record.scene, record.protocol)
        first = found.setdefault(scene, record)
        if first.success != record.success:
            pairs.append((first.key, record.key))
    if pairs:
        more = f" and {len(pairs) - 1} more such pairs" if len(pairs) > 1 else ""
        yield (
            f"{pairs[0][0]} and {pairs[0][1]} have the same states to the bit and different success{more}: "
            "success does not follow from the states alone"
        )


def action_file(folder: Path, record: EpisodeRecord) -> Path:
    """File of an episode's executed actions. Raises StoreError for a name that leads out of the run's folder."""
    try:
        return inside(folder, record.actions)
    except ValueError:
        raise StoreError(f"{record.actions!r} is outside the run's folder and is not read") from None


def read_action_file(path: Path) -> Array:
    """Actions from a .npy file, [steps, action size] float64. Raises StoreError for anything else; runs no code in it."""
    try:
        actions = read_array(path)
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"{path} cannot be read: {error}; without its actions an episode cannot be replayed") from None
    if actions.ndim != 2 or not np.isfinite(actions).all():
        raise StoreError(f"{path} must hold finite numbers [steps, action size]")
    return actions.astype(np.float64)
