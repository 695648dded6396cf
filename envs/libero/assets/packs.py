"""LIBERO's packs of meshes and textures: which pack a name stands for, and which packs are on this machine.

`official` is searched, in this order, in `NORA_BENCH_LIBERO_ASSETS`, in nora-bench's cache (filled by
`nora-bench assets fetch`), in LIBERO's own download cache and inside the package. A folder counts only if it
contains every file that the 40 tasks load, so an interrupted download never counts. An incomplete folder named by the user
is an error, never replaced by another pack.
"""

from __future__ import annotations

import os
from pathlib import Path

from ... import packs
from ...base import AssetPack
from ...errors import SuiteError
from ...paths import cache_home
from ..sim.install import libero_root
from .required_files import missing_files
from .standin import STANDIN, STANDIN_90

VARIABLE = "NORA_BENCH_LIBERO_ASSETS"


def cache_folder() -> Path:
    """LIBERO's part of nora-bench's cache."""
    return cache_home() / "libero"


def resolve(assets: str, suite: str) -> AssetPack:
    """The pack that a name or folder stands for.

    Args:
        assets: `auto` (official, else stand-ins), `official`, `standin`, or a folder laid out as LIBERO's `assets`.
        suite: the suite to run; libero_90 has stand-ins of its own.

    Raises:
        SuiteError: no complete pack was found; the message lists the searched folders and the command to type.
    """
    if assets == "standin":
        return _standin(suite)
    if assets in ("auto", "official"):
        if named := os.environ.get(VARIABLE):
            return _pack_at(Path(named), f"{VARIABLE}={named}: ")
        folder = next((place for place in official_folders() if place.is_dir() and not missing_files(place)), None)
        if folder:
            return _pack("official", folder)
        if assets == "auto":
            return _standin(suite)
        raise SuiteError(
            "LIBERO's official meshes and textures not found (searched "
            f"{', '.join(map(str, official_folders()))}). Type: nora-bench assets fetch, or pass --assets FOLDER"
        )
    return _pack_at(Path(assets))


def official_folders() -> tuple[Path, ...]:
    """Folders searched for the official pack, in order."""
    named = os.environ.get(VARIABLE)
    package = _package_assets()
    return (
        *((assets_folder(Path(named).expanduser().resolve()),) if named else ()),
        cache_folder() / "official" / "assets",
        Path(os.path.expanduser("~/.cache/libero/assets")),  # noqa: PTH111  does not raise for a user without a home
        *((package,) if package else ()),
    )


def assets_folder(folder: Path) -> Path:
    """The `assets` folder, from itself or its parent."""
    return folder / "assets" if (folder / "assets" / "scenes").is_dir() else folder


def find_packs() -> list[packs.FoundPack]:
    """All places searched for packs of this family (see `envs.packs.find_packs`)."""
    return packs.find_packs("libero", official_folders(), STANDIN.folder(cache_folder()), missing_files)


def verify(folder: Path) -> list[str]:
    """Problems of the pack in an `assets` folder (see `envs.packs.verify`)."""
    return packs.verify(folder, missing_files)


def _package_assets() -> Path | None:
    try:
        return libero_root() / "assets"
    except SuiteError:
        return None


def _pack_at(folder: Path, named_by: str = "") -> AssetPack:
    """The pack in a folder that the user named. Raises SuiteError if it is incomplete."""
    folder = assets_folder(folder.expanduser().resolve())
    packs.require_pack(folder, missing_files, "LIBERO's tasks load", named_by)
    if folder in official_folders():
        return _pack("official", folder)
    return _pack(folder.parent.name if folder.name == "assets" else folder.name, folder)


def _standin(suite: str) -> AssetPack:
    return _pack("standin", (STANDIN_90 if suite == "libero_90" else STANDIN).ensure(cache_folder()))


def _pack(name: str, folder: Path) -> AssetPack:
    return AssetPack(name=name, path=str(folder), fingerprint=packs.fingerprint(folder))
