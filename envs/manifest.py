"""Manifest of a pack: `manifest.json` beside its `assets` folder, written last, with size and digest of each file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .safe_io import atomic_write, file_digest, inside, read_object

NAME = "manifest.json"


def write_manifest(home: Path, *, source: str) -> None:
    """Record every file below `home/assets`; its presence marks the pack as complete."""
    assets = home / "assets"
    listed = {path.relative_to(assets).as_posix(): _entry(path) for path in sorted(assets.rglob("*")) if path.is_file()}
    with atomic_write(home / NAME) as scratch:
        scratch.write_text(json.dumps({"source": source, "files": listed}, indent=0), encoding="utf-8")


def _entry(path: Path) -> list[Any]:
    return [path.stat().st_size, file_digest(path)]


def absent_files(home: Path) -> list[str]:
    """Files of the pack's manifest that are absent or have another size; the manifest itself if it is absent."""
    listed = _listed(home)
    if listed is None:
        return [NAME]
    return [name for name, (size, _) in listed.items() if _size(home / "assets" / name) != size]


def damaged_files(home: Path) -> list[str]:
    """Files that are absent (`absent_files`) or have another digest; reads every file."""
    listed = _listed(home)
    absent = absent_files(home)
    if listed is None:
        return absent
    return absent + [name for name, entry in listed.items() if name not in absent and _entry(home / "assets" / name) != entry]


def _listed(home: Path) -> dict[str, list[Any]] | None:
    """Name -> size and digest; None for a manifest that is absent, invalid, or names files outside the pack."""
    try:
        listed = read_object(home / NAME)["files"]
        for name, entry in listed.items():
            inside(home / "assets", name)
            size, digest = entry
            if type(size) is not int or not isinstance(digest, str):
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return listed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
