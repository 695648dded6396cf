"""Asset packs of any family: fingerprint, completeness, and the packs on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError, SuiteError
from .manifest import NAME, damaged_files
from .safe_io import file_digest

MissingFiles = Callable[[Path], list[str]]
"""Function of a family: files that its tasks load and a pack's folder lacks."""


@dataclass(frozen=True)
class FoundPack:
    """One place searched for a pack."""

    family: str
    name: str
    """`official` or `standin`."""
    path: str
    state: str
    """`complete`, `incomplete`, or `not there`."""
    files: int
    mb: float
    fingerprint: str
    """Empty if the pack is incomplete."""


def inspect_pack(family: str, name: str, folder: Path, missing: MissingFiles) -> FoundPack:
    """Inspect a folder, reading all of its files."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    complete = bool(sizes) and not missing(folder)
    state = "complete" if complete else "incomplete" if sizes else "not there"
    known = fingerprint(folder) if complete else ""
    return FoundPack(family, name, str(folder), state, len(sizes), round(sum(sizes) / 1e6, 1), known)


def find_packs(family: str, official: Iterable[Path], standin: Path, missing: MissingFiles) -> list[FoundPack]:
    """All places searched for a family's packs, in order; reads all files of each pack."""
    places = [*(("official", folder) for folder in official), ("standin", standin)]
    return [inspect_pack(family, name, folder, missing) for name, folder in places]


def verify(folder: Path, missing: MissingFiles) -> list[str]:
    """Problems of a pack: required files that are missing or empty, and files that differ from its manifest, if any.

    Raises:
        SuiteError: folder not found.
    """
    if not folder.is_dir():
        raise SuiteError(f"asset folder not found: {folder}. Type: nora-bench assets list")
    problems = [f"missing: {name}" for name in missing(folder)]
    if has_manifest(folder):
        problems += [f"not as listed in {NAME}: {name}" for name in damaged_files(folder.parent)]
    return problems


def require_pack(folder: Path, missing: MissingFiles, purpose: str, named_by: str = "") -> None:
    """Raise SuiteError, naming the missing files, if a folder named by the user is not a complete pack.

    InputError for a folder that does not exist, unless a variable names it (`named_by`).
    """
    remedy = "Unset the variable, or name another folder" if named_by else "Pass --assets auto|official|standin or another folder"
    if not folder.is_dir():
        message = f"{named_by}asset folder not found: {folder}. {remedy}"
        raise SuiteError(message) if named_by else InputError(message, option="--assets", value=folder)
    if absent := missing(folder):
        what = f"{len(absent)} files that {purpose}, the first is {absent[0]}"
        raise SuiteError(f"{named_by}asset folder {folder} lacks {what}. {remedy}")


def has_manifest(folder: Path) -> bool:
    """Whether a pack's folder has a manifest."""
    return (folder.parent / NAME).is_file()


def fingerprint(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over the sorted (relative path, SHA-256) pairs of all its `files`."""
    total = hashlib.sha256()
    for path in pack_files(folder):
        total.update(f"{path.relative_to(folder).as_posix()}\0{file_digest(path)}\n".encode())
    return total.hexdigest()[:16]


def pack_files(folder: Path) -> list[Path]:
    """Files of a pack, sorted; without hidden ones and those that SAPIEN caches beside meshes."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".") and not _cooked(path))


def _cooked(path: Path) -> bool:
    return path.name.endswith((".convex.stl", ".nonconvex.stl"))
