"""The asset packs on this machine: which there are, and whether each holds all that LIBERO's tasks load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..base import SuiteError
from . import standin
from .assets import cache_folder, fingerprint, official_places
from .contents import missing_files
from .manifest import NAME, damaged


@dataclass(frozen=True)
class FoundPack:
    """One place where a pack is or could be."""

    name: str
    """`official` or `standin`."""
    path: str
    state: str
    """`complete`, `incomplete`, or `not there`."""
    files: int
    mb: float
    fingerprint: str
    """Empty where the pack is not complete."""


def found() -> list[FoundPack]:
    """Every place in which packs are looked for, in the order of the looking; a pack's whole content is read."""
    places = [("official", folder) for folder in official_places()]
    return [_look(name, folder) for name, folder in [*places, ("standin", standin.folder(cache_folder()))]]


def _look(name: str, folder: Path) -> FoundPack:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    complete = bool(sizes) and not missing_files(folder)
    state = "complete" if complete else "incomplete" if sizes else "not there"
    return FoundPack(name, str(folder), state, len(sizes), round(sum(sizes) / 1e6, 1), fingerprint(folder) if complete else "")


def verify(folder: Path) -> list[str]:
    """What is wrong with the pack in an `assets` folder: files that the 40 tasks need and that are missing, empty or,
    where a manifest lies beside the folder, not those that it lists. Nothing where all is well.

    Raises:
        SuiteError: the folder does not exist.
    """
    if not folder.is_dir():
        raise SuiteError(f"asset folder {folder} does not exist. Type: nora-bench assets list")
    problems = [f"missing: {name}" for name in missing_files(folder)]
    if has_manifest(folder):
        problems += [f"not as listed in {NAME}: {name}" for name in damaged(folder.parent)]
    return problems


def has_manifest(folder: Path) -> bool:
    """Whether a list of files and digests lies beside an `assets` folder."""
    return (folder.parent / NAME).is_file()
