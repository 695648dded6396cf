"""A run as one file, to be verified on another machine: records, actions and provenance, without images.

The file is a plain zip of these members, and of no others:

| member | content |
| --- | --- |
| `bundle.json` | `format`, `run` (name), `digest`, `episodes`, `with_actions` |
| `run.json`, `episodes.jsonl` | as in the run's folder, byte for byte |
| `actions.json` | action size -> list of `[path in the run's folder, steps]`, in the order of the array's last axis |
| `actions-SIZE.npy` | uint8 [SIZE, 8, steps]: byte b of number d of each step's actions, float64 little-endian |

`digest` is the SHA-256 of the SHA-256 of `run.json` and of `episodes.jsonl`. Records contain the SHA-256 of their actions, so it
covers those too. Actions of many bits do not compress: where all of them exceed the size limit, the file has those of as many
episodes as fit, in the order of SHA-256 of digest and key, which nobody chooses. Reading the file checks that.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.errors import OUT_OF_RESOURCES, NoraBenchError, StoreError
from ...envs.safe_io import LARGEST_JSON, atomic_write, is_name, npy_header, parse_json, zip_errors
from ...envs.types import Array
from .integrity import read_actions
from .reader import EPISODES_FILE, RUN_FILE, StoredRun, read_run
from .records import EpisodeRecord

FORMAT = 1
LEAST = 5_000_000
"""Bytes that a file of any number of episodes may have."""
PER_EPISODE = LEAST / 2000
"""Bytes per episode where there are more than 2,000."""
LARGEST = 1 << 28
"""Bytes of all members, decompressed."""
SHORTEST = 64
"""Bytes per line of records, on average: a line of few bytes is no record, and millions of them compress to nothing."""
LONGEST_NAME = 200
"""Characters of a file's or a run's name."""
HEADER, INDEX = "bundle.json", "actions.json"
ARRAY = re.compile(r"actions-([1-9][0-9]{0,3})\.npy")
PATH = re.compile(r"actions/([^/]+)")


@dataclass(frozen=True, slots=True)
class BundleResult:
    """A bundle that was written."""

    episodes: int
    with_actions: int
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was opened; its folder exists until it is closed."""

    run: StoredRun
    digest: str
    left_out: frozenset[str]
    """Keys of scored episodes whose actions did not fit into the file."""


def write_bundle(run: StoredRun, out: Path, *, all_actions: bool = False) -> BundleResult:
    """Write a run as one file.

    Args:
        run: the run, as read from its folder.
        out: the file.
        all_actions: include the actions of all episodes, whatever the size.

    Raises StoreError for missing or mismatched actions, and for more than `LARGEST` bytes of records or of all actions.
    """
    run, texts = _snapshot(run)
    digest = _digest(texts)
    limit = max(LEAST, int(PER_EPISODE * len(run.records)))
    chosen = _order(digest, (record for record in run.records if record.actions))
    actions = {record.key: read_actions(run, record) for record in chosen}
    room = LARGEST - sum(map(len, texts.values()))
    while True:
        if 9 * sum(actions[record.key].size for record in chosen) <= room:
            content = _zipped(run.name, digest, texts, len(run.records), chosen, actions)
            if all_actions or len(content) <= limit or not chosen:
                break
            share = 0.98 * limit / len(content)
        elif all_actions or room < 0:
            raise StoreError(f"{run.folder} exceeds {LARGEST >> 20} MiB, the limit of one bundle. Export its parts as runs")
        else:
            share = 0.5
        chosen = chosen[: min(len(chosen) - 1, int(share * len(chosen)))]
    with atomic_write(out) as scratch:
        scratch.write_bytes(content)
    return BundleResult(len(run.records), len(chosen), digest, len(content))


def _snapshot(run: StoredRun) -> tuple[StoredRun, dict[str, bytes]]:
    """The run and the contents of its files at one moment: a run in progress grows."""
    for _ in range(10):
        texts = _texts(run.folder)
        run = read_run(run.folder)
        if _texts(run.folder) == texts:
            return run, texts
    raise StoreError(f"{run.folder} is being written, and changes while it is read. Export it when the run has finished")


def _texts(folder: Path) -> dict[str, bytes]:
    texts = {name: (folder / name).read_bytes() for name in (RUN_FILE, EPISODES_FILE) if (folder / name).exists()}
    return {EPISODES_FILE: b"", **texts}


def _digest(texts: Mapping[str, bytes]) -> str:
    parts = [hashlib.sha256(texts[name]).hexdigest() for name in (RUN_FILE, EPISODES_FILE)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _order(digest: str, records: Iterator[EpisodeRecord]) -> list[EpisodeRecord]:
    """Records in an order that follows from the run's contents."""
    return sorted(records, key=lambda record: hashlib.sha256(f"{digest} {record.key}".encode()).digest())


def _zipped(
    name: str,
    digest: str,
    texts: Mapping[str, bytes],
    episodes: int,
    chosen: Sequence[EpisodeRecord],
    actions: Mapping[str, Array],
) -> bytes:
    index: dict[str, list[tuple[str, int]]] = {}
    parts: dict[str, list[Array]] = {}
    paths: set[str] = set()
    for record in chosen:
        rows, path = actions[record.key], str(record.actions)
        match = PATH.fullmatch(path)
        if not match or not is_name(match[1]) or path in paths:
            raise StoreError(f"episode {record.key} names its actions {path!r}, which is not a file of its own in actions/")
        paths.add(path)
        index.setdefault(str(rows.shape[1]), []).append((path, len(rows)))
        parts.setdefault(str(rows.shape[1]), []).append(rows)
    header = {"format": FORMAT, "run": name, "digest": digest, "episodes": episodes, "with_actions": len(chosen)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for member, content in {HEADER: _json(header), **texts, INDEX: _json(index)}.items():
            archive.writestr(_member(member), content)
        for size, rows in parts.items():
            archive.writestr(_member(f"actions-{size}.npy"), _planes(np.concatenate(rows)))
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    """Without the time of writing: the same run gives the same file."""
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _planes(rows: Array) -> bytes:
    """[steps, size] -> the .npy file of [size, 8, steps]: equal bytes of neighbouring steps stand side by side."""
    parts = np.ascontiguousarray(rows, "<f8").view(np.uint8).reshape(*rows.shape, 8)
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(parts.transpose(1, 2, 0)), allow_pickle=False)
    return buffer.getvalue()


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """The run in a bundle, unpacked into a temporary folder. Raises StoreError for anything but a valid bundle.

    Errors of the block name the bundle instead of the folder, which is gone by then.
    """
    with tempfile.TemporaryDirectory(prefix="nora-bench-bundle-") as scratch:
        bundle = unpack_bundle(path, Path(scratch))
        try:
            yield bundle
        except NoraBenchError as error:
            error.args = tuple(str(part).replace(str(bundle.run.folder), str(path)) for part in error.args)
            raise


def unpack_bundle(path: Path, folder: Path) -> Bundle:
    """Write the run of a bundle into `folder/NAME`, which must not exist. Raises StoreError for anything but a valid bundle."""
    try:
        with zip_errors(), zipfile.ZipFile(path) as archive:
            return _unpack(archive, folder)
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:  # of the folder's disk
            raise
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    except (StoreError, ValueError, MemoryError) as error:
        cause = str(error).replace(f"{folder}/", "").partition(" Inspect it with")[0].rstrip(".") or "it needs too much memory"
        raise StoreError(f"{path} is not a bundle of nora-bench: {cause}. Type: nora-bench export RUN --format bundle") from None


def _unpack(archive: zipfile.ZipFile, parent: Path) -> Bundle:
    _check_members(archive)
    header = parse_json(_read(archive, HEADER))
    if not isinstance(header, dict) or type(header.get("format")) is not int or header["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    texts = {name: _read(archive, name) for name in (RUN_FILE, EPISODES_FILE)}
    digest = _digest(texts)
    if header.get("digest") != digest:
        raise ValueError("its records are not those that its digest names")
    if texts[EPISODES_FILE].count(b"\n") * SHORTEST > len(texts[EPISODES_FILE]):
        raise ValueError(f"{EPISODES_FILE} has lines that are too short for records")
    name = header.get("run")
    folder = parent / (name if isinstance(name, str) and is_name(name) and len(name) <= LONGEST_NAME else "run")
    files = dict(_action_files(archive))
    folder.mkdir()
    (folder / "actions").mkdir()
    for file, content in texts.items():
        (folder / file).write_bytes(content)
    for file, rows in files.items():
        np.save(folder / "actions" / file, rows, allow_pickle=False)
    run = read_run(folder)
    run = replace(run, notes=(*(note.replace(f"{folder}/", "") for note in run.notes), *_contradictions(header, run, len(files))))
    return _bundle(run, digest, {f"actions/{file}" for file in files})


def _contradictions(header: Mapping[str, Any], run: StoredRun, files: int) -> Iterator[str]:
    """What the header states and the members do not have, and records whose actions the digest does not cover."""
    for name, count in (("episodes", len(run.records)), ("with_actions", files)):
        if header.get(name) != count:
            yield f"{HEADER} states {str(header.get(name))[:40]} {name}, the bundle has {count}"
    for record in run.records:
        if record.actions and not record.actions_sha256:
            yield f"{record.key}: no SHA-256 of its actions, so the digest does not cover them"


def _check_members(archive: zipfile.ZipFile) -> None:
    """Raises ValueError for members that a bundle does not have, and for more than `LARGEST` bytes."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or not {HEADER, RUN_FILE, EPISODES_FILE, INDEX} <= set(names):
        raise ValueError("members are missing, or appear twice")
    known = {HEADER, RUN_FILE, EPISODES_FILE, INDEX}
    if others := [name for name in names if name not in known and not ARRAY.fullmatch(name)]:
        raise ValueError(f"it has the unknown member {others[0]!r}")
    if sum(member.file_size for member in members) > LARGEST:
        raise ValueError(f"its members exceed {LARGEST} bytes")


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's content, at most as many bytes as its entry states."""
    size = archive.getinfo(name).file_size
    if size > LARGEST_JSON:
        raise ValueError(f"{name} has {size} bytes")
    with archive.open(name) as handle:
        return handle.read(size)


def _action_files(archive: zipfile.ZipFile) -> Iterator[tuple[str, Array]]:
    """Name below actions/ -> actions, [steps, size]. Raises ValueError where index and arrays do not fit."""
    index = parse_json(_read(archive, INDEX))
    arrays = {match[1]: name for name in archive.namelist() if (match := ARRAY.fullmatch(name))}
    if not isinstance(index, dict) or index.keys() != arrays.keys():
        raise ValueError(f"{INDEX} does not name its arrays")
    names: set[str] = set()
    for size, entries in index.items():
        rows = _rows(archive, arrays[size], int(size))
        start = 0
        for path, steps in _entries(entries):
            if path in names:
                raise ValueError(f"{INDEX} has {path!r} twice")
            names.add(path)
            yield path, rows[start : start + steps]
            start += steps
        if start != len(rows):
            raise ValueError(f"{INDEX} has {start} steps, {arrays[size]} has {len(rows)}")


def _entries(entries: Any) -> Iterator[tuple[str, int]]:
    if not isinstance(entries, list):
        raise ValueError(f"{INDEX} has no list of files")
    for entry in entries:
        path, steps = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        match = PATH.fullmatch(path) if isinstance(path, str) else None
        if not match or not is_name(match[1]) or len(match[1]) > LONGEST_NAME or type(steps) is not int or steps < 1:
            raise ValueError(f"{INDEX} has the entry {str(entry)[:100]}")
        yield match[1], steps


def _rows(archive: zipfile.ZipFile, name: str, size: int) -> Array:
    """[steps, size] float64 of one array. Raises ValueError for another shape or type."""
    content = _read(archive, name)
    handle = io.BytesIO(content)
    shape, dtype = npy_header(handle)
    if dtype != np.uint8 or len(shape) != 3 or shape[:2] != (size, 8) or len(content) - handle.tell() != size * 8 * shape[2]:
        raise ValueError(f"{name} is not [{size}, 8, steps] of bytes")
    planes = np.frombuffer(content, np.uint8, offset=handle.tell()).reshape(shape)
    return np.ascontiguousarray(planes.transpose(2, 0, 1)).view("<f8").reshape(shape[2], size)


def _bundle(run: StoredRun, digest: str, files: set[str]) -> Bundle:
    """The bundle of an unpacked run; a note where others than the first episodes of `_order` have actions."""
    order = _order(digest, (record for record in run.records if record.actions))
    present = [record.actions in files for record in order]
    left_out = frozenset(record.key for record, has in zip(order, present, strict=True) if not has)
    if present != sorted(present, reverse=True):
        run = replace(run, notes=(*run.notes, "the episodes with actions are not those that the digest chooses"))
    return Bundle(run, digest, left_out)
