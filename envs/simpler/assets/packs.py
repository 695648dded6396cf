"""Where SimplerEnv's meshes, textures and photographs are: which pack a name stands for, and what is on this machine.

A pack is a folder in upstream's own layout: it holds `ManiSkill2_real2sim/data` and
`ManiSkill2_real2sim/mani_skill2_real2sim/assets`. `official` is looked for in `NORA_BENCH_SIMPLER_ASSETS`, then in
nora-bench's cache (filled by `nora-bench assets fetch simpler`), and counts only when it holds all that the grid loads. A
folder that was named and does not count is an error: whoever names one does not mean another.
"""

from __future__ import annotations

import os
from pathlib import Path

from ... import packs
from ...base import AssetPack
from ...errors import SuiteError
from ...paths import cache_home
from .required_files import ROOT, missing_files
from .standin import STANDIN

VARIABLE = "NORA_BENCH_SIMPLER_ASSETS"
FETCH = "nora-bench assets fetch simpler"


def cache_folder() -> Path:
    """SimplerEnv's part of nora-bench's cache."""
    return cache_home() / "simpler"


def official_folders() -> tuple[Path, ...]:
    """Folders in which the official pack is looked for, first wins."""
    named = os.environ.get(VARIABLE)
    return (*((_inner(Path(named)),) if named else ()), cache_folder() / "official" / "assets")


def resolve(wanted: str) -> AssetPack:
    """The pack that a name or folder stands for.

    Args:
        wanted: `auto` (official, else stand-ins), `official`, `standin`, or a folder in upstream's layout.

    Raises:
        SuiteError: nothing complete is there; the message says where it was looked for and what to type.
    """
    if wanted not in ("auto", "official", "standin"):
        return _pack_at(Path(wanted))
    if (named := os.environ.get(VARIABLE)) and wanted != "standin":
        return _pack_at(Path(named), f"{VARIABLE}={named}: ")
    found = next((folder for folder in official_folders() if folder.is_dir() and not missing_files(folder)), None)
    if found and wanted != "standin":
        return _pack("official", found)
    if wanted == "official":
        places = ", ".join(map(str, official_folders()))
        raise SuiteError(
            f"SimplerEnv's official assets are not on this machine (looked in {places}). Type: {FETCH}, or pass --assets FOLDER"
        )
    return _pack("standin", STANDIN.ensure(cache_folder()))


def find_packs() -> list[packs.FoundPack]:
    """Every place in which packs of this family are looked for (see `envs.packs.find_packs`)."""
    return packs.find_packs("simpler", official_folders(), STANDIN.folder(cache_folder()), missing_files)


def verify(folder: Path) -> list[str]:
    """What is wrong with a pack (see `envs.packs.verify`)."""
    return packs.verify(_inner(folder), missing_files)


def has_pack_layout(folder: Path) -> bool:
    """Whether a folder is laid out as a pack of SimplerEnv."""
    return (_inner(folder) / ROOT).is_dir()


def _inner(folder: Path) -> Path:
    """A pack may be named by its folder, by the one around it, or by `ManiSkill2_real2sim` in it."""
    folder = folder.expanduser().resolve()
    if folder.name == ROOT:
        return folder.parent
    return folder / "assets" if (folder / "assets" / ROOT).is_dir() else folder


def _pack_at(folder: Path, named_by: str = "") -> AssetPack:
    """The pack in a folder that the user named. Raises SuiteError where it is none."""
    folder = _inner(folder)
    packs.require_pack(folder, missing_files, "SimplerEnv's grid loads", named_by)
    if folder in official_folders():
        return _pack("official", folder)
    return _pack(folder.parent.name if folder.name == "assets" else folder.name, folder)


def _pack(name: str, folder: Path) -> AssetPack:
    return AssetPack(name=name, path=str(folder), fingerprint=packs.fingerprint(folder))
