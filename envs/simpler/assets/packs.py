"""SimplerEnv's packs of meshes, textures and photographs: which pack a name stands for, and which are on this machine.

A pack is a folder in upstream's own layout: it contains `ManiSkill2_real2sim/data` and
`ManiSkill2_real2sim/mani_skill2_real2sim/assets`. `official` is searched in `NORA_BENCH_SIMPLER_ASSETS`, then in
nora-bench's cache (filled by `nora-bench assets fetch simpler`), and counts only if it contains all files
that the grid loads. An incomplete folder named by the user is an error, never replaced by another pack.
"""

from __future__ import annotations

import os
from pathlib import Path

from ... import packs
from ...base import AssetPack
from ...errors import SuiteError
from ...paths import cache_home
from .required_files import FETCH, ROOT, VARIABLE, missing_files, missing_from_pack
from .standin import STANDIN


def cache_folder() -> Path:
    """SimplerEnv's part of nora-bench's cache."""
    return cache_home() / "simpler"


def official_folders() -> tuple[Path, ...]:
    """Folders searched for the official pack, in order."""
    named = os.environ.get(VARIABLE)
    return (*((_inner(Path(named)),) if named else ()), cache_folder() / "official" / "assets")


def resolve(assets: str, missing: packs.MissingFiles = missing_files) -> AssetPack:
    """The pack that a name or folder stands for.

    Args:
        assets: `auto` (official, else stand-ins), `official`, `standin`, or a folder in upstream's layout.
        missing: function of `required_files` for the robot.

    Raises:
        SuiteError: no complete pack was found; the message lists the searched folders and the command to type.
    """
    if assets not in ("auto", "official", "standin"):
        return _pack_at(Path(assets), missing)
    if (named := os.environ.get(VARIABLE)) and assets != "standin":
        return _pack_at(Path(named), missing, f"{VARIABLE}={named}: ")
    folder = next((place for place in official_folders() if place.is_dir() and not missing(place)), None)
    if folder and assets != "standin":
        return _pack("official", folder)
    if assets == "official":
        places = ", ".join(map(str, official_folders()))
        raise SuiteError(f"SimplerEnv's official assets not found (searched {places}). Type: {FETCH}, or pass --assets FOLDER")
    return _pack("standin", STANDIN.ensure(cache_folder()))


def find_packs() -> list[packs.FoundPack]:
    """All places searched for packs of this family (see `envs.packs.find_packs`)."""
    return packs.find_packs("simpler", official_folders(), STANDIN.folder(cache_folder()), missing_files)


def verify(folder: Path) -> list[str]:
    """Problems of a pack (see `envs.packs.verify`)."""
    return packs.verify(_inner(folder), missing_from_pack)


def has_pack_layout(folder: Path) -> bool:
    """Whether a folder has the layout of a SimplerEnv pack."""
    return (_inner(folder) / ROOT).is_dir()


def _inner(folder: Path) -> Path:
    """The pack's folder, from itself, its parent, or `ManiSkill2_real2sim` in it."""
    folder = folder.expanduser().resolve()
    if folder.name == ROOT:
        return folder.parent
    return folder / "assets" if (folder / "assets" / ROOT).is_dir() else folder


def _pack_at(folder: Path, missing: packs.MissingFiles, named_by: str = "") -> AssetPack:
    """The pack in a folder that the user named. Raises SuiteError if it is incomplete."""
    folder = _inner(folder)
    packs.require_pack(folder, missing, "SimplerEnv's grid loads", named_by)
    if folder in official_folders():
        return _pack("official", folder)
    return _pack(folder.parent.name if folder.name == "assets" else folder.name, folder)


def _pack(name: str, folder: Path) -> AssetPack:
    return AssetPack(name=name, path=str(folder), fingerprint=packs.fingerprint(folder))
