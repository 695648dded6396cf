"""Writes repositories into a local cache of the Hugging Face hub, laid out as the hub's own client does.

CACHE/models--OWNER--NAME/refs/main          the commit
CACHE/models--OWNER--NAME/blobs/DIGEST       contents: SHA-256 of large files, git's id of small ones
CACHE/models--OWNER--NAME/snapshots/COMMIT/  links to them, by file name
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    name: str
    """Without folders."""
    content: Iterable[bytes]
    """Its parts, read once."""
    large: bool = False
    """Stored by its SHA-256, as the hub stores weights."""


def put(cache: Path, repository: str, files: Iterable[HubFile]) -> Path:
    """Write a repository, part by part, and return the folder of its snapshot; an earlier one is replaced.

    A file that was interrupted leaves no link: the snapshot then lacks it.
    """
    folder = cache / f"models--{repository.replace('/', '--')}"
    commit = hashlib.sha1(repository.encode()).hexdigest()
    snapshot = folder / "snapshots" / commit
    for path in (folder / "blobs", folder / "refs", snapshot):
        path.mkdir(parents=True, exist_ok=True)
    for file in files:
        digest = _write(folder / "blobs", file)
        link = snapshot / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(Path("../../blobs") / digest)
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    return snapshot


def _write(blobs: Path, file: HubFile) -> str:
    """Write one file's content and return its name there."""
    if not file.large:
        content = b"".join(file.content)
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        (blobs / digest).write_bytes(content)
        return digest
    total, unfinished = hashlib.sha256(), blobs / f"{file.name}.incomplete"
    with unfinished.open("wb") as out:
        for part in file.content:
            total.update(part)
            out.write(part)
    unfinished.rename(blobs / total.hexdigest())
    return total.hexdigest()
