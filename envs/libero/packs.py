"""LIBERO's asset packs on this machine: which there are, and whether each holds all that its tasks load."""

from __future__ import annotations

from pathlib import Path

from .. import packs
from . import standin
from .assets import cache_folder, official_places
from .contents import missing_files

__all__ = ["cache_folder", "found", "verify"]


def found() -> list[packs.FoundPack]:
    """Every place in which packs are looked for, in the order of the looking; a pack's whole content is read."""
    places = [("official", folder) for folder in official_places()]
    places.append(("standin", standin.folder(cache_folder())))
    return [packs.look("libero", name, folder, missing_files) for name, folder in places]


def verify(folder: Path) -> list[str]:
    """What is wrong with the pack in an `assets` folder (see `envs.packs.verify`)."""
    return packs.verify(folder, missing_files)
