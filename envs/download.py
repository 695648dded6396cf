"""Download of an asset pack, whatever the host: file identity, disk space, verification, and the move into place.

Files arrive in `<home>.part` beside the final folder, which gets its name only after every file has the size and digest
that the host lists: an interrupted download is never mistaken for a pack, and a repeated one resumes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .errors import SuiteError
from .manifest import write_manifest
from .safe_io import file_digest


@dataclass(frozen=True)
class RemoteFile:
    """Identity of a file at its host."""

    git_blob: str
    """Git's blob id; that of the pointer for a file in large-file storage."""
    size: int | None = None
    """Bytes; None where the host does not list it."""
    sha256: str = ""
    """SHA-256 of the content, for files in large-file storage; else empty."""

    def matches(self, path: Path) -> bool:
        """Whether the file at `path` exists with this size and digest."""
        if not path.is_file() or self.size not in (None, path.stat().st_size):
            return False
        return file_digest(path) == self.sha256 if self.sha256 else git_blob(path.read_bytes()) == self.git_blob


def git_blob(content: bytes) -> str:
    """Git's blob id of a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def part_folder(home: Path) -> Path:
    """Folder for a pack's files until the pack is complete."""
    return home.with_name(f"{home.name}.part")


def check_disk_space(folder: Path, needed: float) -> None:
    """Raise SuiteError where the disk of `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SuiteError(
            f"{folder} has {free / 1e6:.0f} MB free, the assets need {needed / 1e6:.0f} MB. "
            "Type: export NORA_BENCH_HOME=FOLDER (on a disk with room)"
        )


def put_in_place(home: Path, *, source: str, names: Collection[str]) -> Path:
    """Turn the complete part folder into the pack `home`, replacing a damaged one; the folder of its assets.

    Args:
        home: the pack's folder.
        source: origin of the files, for the manifest.
        names: files of the pack, relative to `assets`; others are deleted.
    """
    part = part_folder(home)
    shutil.rmtree(part / "assets" / ".cache", ignore_errors=True)
    for path in [path for path in (part / "assets").rglob("*") if path.is_file()]:
        if path.relative_to(part / "assets").as_posix() not in names:
            path.unlink()
    write_manifest(part, source=source)
    if home.is_symlink():
        home.unlink()
    elif home.exists():
        shutil.rmtree(home)
    part.rename(home)
    return home / "assets"
