"""LIBERO's asset packs on this machine: which there are, and whether each holds all that its tasks load."""

from __future__ import annotations

from pathlib import Path

from ... import packs
from .required_files import missing_files
from .resolve import cache_folder, official_places
from .standin import STANDIN

__all__ = ["cache_folder", "found", "verify"]


def found() -> list[packs.FoundPack]:
    """Every place in which packs of this family are looked for (see `envs.packs.found`)."""
    return packs.found("libero", official_places(), STANDIN.folder(cache_folder()), missing_files)


def verify(folder: Path) -> list[str]:
    """What is wrong with the pack in an `assets` folder (see `envs.packs.verify`)."""
    return packs.verify(folder, missing_files)
