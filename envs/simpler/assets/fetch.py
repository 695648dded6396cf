"""Brings the official assets from upstream's public repository, file by file, each held against its known digest.

Which files, and their git blob ids at the pinned commit, is `upstream_files.json`. Files arrive in a folder beside the
final one, which gets its name when all of them are there and right; what has arrived is not fetched again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...errors import SuiteError
from ...manifest import absent_files, write_manifest
from .packs import FETCH, VARIABLE
from .required_files import ROOT

ENDPOINT = "https://raw.githubusercontent.com/simpler-env/ManiSkill2_real2sim"
AT_ONCE = 8
TIMEOUT_S = 60.0
ROOM = 600_000_000
"""Bytes that must be free: more than the files take."""


def fetch(home: Path, *, endpoint: str = ENDPOINT, say: Callable[[str], None] = print) -> Path:
    """The folder `home/assets` with the official pack, downloaded where it is not complete.

    Args:
        home: the pack's folder, made here; `<home>.part` beside it holds what has arrived so far.
        endpoint: where files lie below `<commit>/<path>`, e.g. a mirror.
        say: gets lines for the user.

    Raises:
        SuiteError: a file cannot be had, or is not upstream's.
    """
    if not absent_files(home):
        say(f"already complete: {home}")
        return home / "assets"
    source, commit, files = upstream()
    part = home.with_name(f"{home.name}.part")
    folder = part / "assets" / ROOT
    folder.mkdir(parents=True, exist_ok=True)
    _check_room(part)
    due = {name: digest for name, digest in files.items() if not _same(folder / name, digest)}
    say(f"{source} at {commit}: {len(due)} of {len(files)} files to fetch")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: _bring(f"{endpoint}/{commit}/{urllib.parse.quote(name)}", folder / name, due[name]), due))
    write_manifest(part, source=f"{source} at {commit}")
    shutil.rmtree(home, ignore_errors=True)
    part.rename(home)
    return home / "assets"


def upstream() -> tuple[str, str, Mapping[str, str]]:
    """Address and commit of upstream's repository; path in it -> git blob id of every file that a pack holds."""
    data = json.loads(Path(__file__).with_name("upstream_files.json").read_text(encoding="utf-8"))
    files = {f"{folder}/{name}".lstrip("/"): digest for folder, names in data["files"].items() for name, digest in names.items()}
    return data["source"], data["commit"], files


def _bring(url: str, path: Path, digest: str) -> None:
    """Download one file; it gets its name when it is whole and right."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            content = answer.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SuiteError(
            f"{url} cannot be had ({reason}); what arrived is kept. Type the same command to go on, set {VARIABLE} to a folder "
            "that holds ManiSkill2_real2sim, or pass --assets standin"
        ) from None
    if _blob_id(content) != digest:
        raise SuiteError(f"{url} is not the file that upstream's commit holds. Type {FETCH} to fetch it again")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_bytes(content)
    scratch.replace(path)


def _same(path: Path, digest: str) -> bool:
    return path.is_file() and _blob_id(path.read_bytes()) == digest


def _blob_id(content: bytes) -> str:
    """Git's name for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise SuiteError(
            f"{folder} has {free / 1e6:.0f} MB free, the assets may need {ROOM / 1e6:.0f} MB. Set NORA_BENCH_HOME elsewhere"
        )
