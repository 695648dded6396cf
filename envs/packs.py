"""Asset packs of any family: what identifies one, and whether it holds what it should."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import SuiteError
from .manifest import NAME, damaged_files
from .safe_io import file_digest

MissingFiles = Callable[[Path], list[str]]
"""Names of the files that a family's tasks load and that a pack's folder lacks."""


@dataclass(frozen=True)
class FoundPack:
    """One place where a pack is or could be."""

    family: str
    name: str
    """`official` or `standin`."""
    path: str
    state: str
    """`complete`, `incomplete`, or `not there`."""
    files: int
    mb: float
    fingerprint: str
    """Empty where the pack is not complete."""


def inspect_pack(family: str, name: str, folder: Path, missing: MissingFiles) -> FoundPack:
    """What is in a folder; its whole content is read."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    complete = bool(sizes) and not missing(folder)
    state = "complete" if complete else "incomplete" if sizes else "not there"
    known = fingerprint(folder) if complete else ""
    return FoundPack(family, name, str(folder), state, len(sizes), round(sum(sizes) / 1e6, 1), known)


def find_packs(family: str, official: Iterable[Path], standin: Path, missing: MissingFiles) -> list[FoundPack]:
    """Every place in which a family's packs are looked for, in the order of the looking; a pack's whole content is read."""
    places = [*(("official", folder) for folder in official), ("standin", standin)]
    return [inspect_pack(family, name, folder, missing) for name, folder in places]


def verify(folder: Path, missing: MissingFiles) -> list[str]:
    """What is wrong with a pack: files that tasks need and that are missing, empty or, where a manifest lies beside the
    folder, not those that it lists. Nothing where all is well.

    Raises:
        SuiteError: the folder does not exist.
    """
    if not folder.is_dir():
        raise SuiteError(f"asset folder {folder} does not exist. Type: nora-bench assets list")
    problems = [f"missing: {name}" for name in missing(folder)]
    if has_manifest(folder):
        problems += [f"not as listed in {NAME}: {name}" for name in damaged_files(folder.parent)]
    return problems


def require_pack(folder: Path, missing: MissingFiles, purpose: str, named_by: str = "") -> None:
    """Raises SuiteError, naming what is missing, where a folder that a user named is not a whole pack."""
    typed = "Unset the variable, or name another folder" if named_by else "Pass --assets auto|official|standin or another folder"
    if not folder.is_dir():
        raise SuiteError(f"{named_by}asset folder {folder} does not exist. {typed}")
    if absent := missing(folder):
        what = f"{len(absent)} files that {purpose}, the first is {absent[0]}"
        raise SuiteError(f"{named_by}asset folder {folder} lacks {what}. {typed}")


def has_manifest(folder: Path) -> bool:
    """Whether a list of files and digests lies beside a pack's folder."""
    return (folder.parent / NAME).is_file()


def fingerprint(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over the sorted (relative path, SHA-256) pairs of all its `files`."""
    total = hashlib.sha256()
    for path in pack_files(folder):
        total.update(f"{path.relative_to(folder).as_posix()}\0{file_digest(path)}\n".encode())
    return total.hexdigest()[:16]


def pack_files(folder: Path) -> list[Path]:
    """The files that make a pack, sorted: hidden ones do not count, nor do those that SAPIEN leaves beside meshes."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".") and not _cooked(path))


def _cooked(path: Path) -> bool:
    return path.name.endswith((".convex.stl", ".nonconvex.stl"))
