"""Where LIBERO's meshes and textures are: which pack a name stands for, and which packs are on this machine.

`official` is looked for, in this order, in `NORA_BENCH_LIBERO_ASSETS`, in nora-bench's cache (filled by
`nora-bench assets fetch`), in LIBERO's own download cache and inside the package. A folder counts only when it
holds every file that the 40 tasks load: an interrupted download is never taken for complete. One that was named and does
not count is an error: whoever names a folder does not mean another.
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
from .standin import STANDIN

VARIABLE = "NORA_BENCH_LIBERO_ASSETS"


def cache_folder() -> Path:
    """LIBERO's part of nora-bench's cache."""
    return cache_home() / "libero"


def resolve(wanted: str, suite: str) -> AssetPack:
    """The pack that a name or folder stands for.

    Args:
        wanted: `auto` (official, else stand-ins), `official`, `standin`, or a folder laid out as LIBERO's `assets`.
        suite: the suite to be played; stand-ins exist for the four 10-task suites only.

    Raises:
        SuiteError: nothing complete is there; the message says where it was looked for and what to type.
    """
    if wanted == "standin":
        return _standin(suite)
    if wanted in ("auto", "official"):
        if named := os.environ.get(VARIABLE):
            return _pack_at(Path(named), f"{VARIABLE}={named}: ")
        found = next((folder for folder in official_folders() if folder.is_dir() and not missing_files(folder)), None)
        if found:
            return _pack("official", found)
        if wanted == "auto" and suite != "libero_90":
            return _standin(suite)
        raise SuiteError(
            "LIBERO's official meshes and textures are not on this machine (looked in "
            f"{', '.join(map(str, official_folders()))}). Type: nora-bench assets fetch, or pass --assets FOLDER"
        )
    return _pack_at(Path(wanted))


def official_folders() -> tuple[Path, ...]:
    """Folders in which the official pack is looked for, first wins."""
    named = os.environ.get(VARIABLE)
    package = _package_assets()
    return (
        *((_inner(Path(named).expanduser().resolve()),) if named else ()),
        cache_folder() / "official" / "assets",
        Path(os.path.expanduser("~/.cache/libero/assets")),  # noqa: PTH111  does not raise for a user without a home
        *((package,) if package else ()),
    )


def find_packs() -> list[packs.FoundPack]:
    """Every place in which packs of this family are looked for (see `envs.packs.find_packs`)."""
    return packs.find_packs("libero", official_folders(), STANDIN.folder(cache_folder()), missing_files)


def verify(folder: Path) -> list[str]:
    """Problems of the pack in an `assets` folder (see `envs.packs.verify`)."""
    return packs.verify(folder, missing_files)


def _package_assets() -> Path | None:
    try:
        return libero_root() / "assets"
    except SuiteError:
        return None


def _inner(folder: Path) -> Path:
    """A pack may be named by its `assets` folder or by the folder around it."""
    return folder / "assets" if (folder / "assets" / "scenes").is_dir() else folder


def _pack_at(folder: Path, named_by: str = "") -> AssetPack:
    """The pack in a folder that the user named. Raises SuiteError where it is none."""
    folder = _inner(folder.expanduser().resolve())
    packs.require_pack(folder, missing_files, "LIBERO's tasks load", named_by)
    if folder in official_folders():
        return _pack("official", folder)
    return _pack(folder.parent.name if folder.name == "assets" else folder.name, folder)


def _standin(suite: str) -> AssetPack:
    if suite == "libero_90":
        raise SuiteError("there are no stand-in assets for libero_90. Type: nora-bench assets fetch, and pass --assets official")
    return _pack("standin", STANDIN.ensure(cache_folder()))


def _pack(name: str, folder: Path) -> AssetPack:
    return AssetPack(name=name, path=str(folder), fingerprint=packs.fingerprint(folder))
