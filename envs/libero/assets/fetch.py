"""Brings the official assets from the Hugging Face hub: resumed where it stopped, checked file by file, then put in place.

The hub is asked once which commit is newest; every file is of that commit, and the manifest records it. Files arrive
in a folder beside the final one, which gets its name only after each file's size and digest are the hub's: an
interrupted download is never taken for a pack.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SuiteError
from ...manifest import absent_files, write_manifest
from .required_files import XML_FILES

REPOSITORY = "lerobot/libero-assets"
WITHOUT_HUB = "pass --assets standin, or set NORA_BENCH_LIBERO_ASSETS to a folder that holds LIBERO's assets"
REFUSED = (".gitattributes", "README.md")
"""Files of the repository that are not assets."""


@dataclass(frozen=True)
class HubFile:
    """What the hub says of one file."""

    size: int
    sha1: str
    """Git's blob id; of the pointer where the file is stored as a large one."""
    sha256: str
    """Of the content, for large files; else empty."""


def fetch(home: Path, *, revision: str = "main", endpoint: str | None = None, say: Callable[[str], None] = print) -> Path:
    """The folder `home/assets` with the official pack, downloaded where it is not complete.

    Args:
        home: the pack's folder, made here; `<home>.part` beside it holds what has arrived so far.
        revision: branch, tag or commit of the hub's repository.
        endpoint: another hub, e.g. a mirror; by default what `HF_ENDPOINT` says.
        say: gets lines for the user.

    Raises:
        SuiteError: the hub cannot be reached, has other files than LIBERO needs, or what arrived is damaged.
    """
    if not absent_files(home):
        say(f"already complete: {home}")
        return home / "assets"
    part = home.with_name(f"{home.name}.part")
    commit, listed = _ask(revision, endpoint)
    _check_listing(listed, home.parent)
    say(f"{REPOSITORY} at {commit}: {len(listed)} files, {sum(file.size for file in listed.values()) / 1e6:.0f} MB")
    bad = _arrived(part / "assets", commit, endpoint, listed)
    if bad:
        raise SuiteError(f"{len(bad)} files arrived damaged, the first is {bad[0]}. Type the same command to fetch them again")
    _put_in_place(part, home, listed, f"https://huggingface.co/datasets/{REPOSITORY} at {commit}")
    return home / "assets"


def _ask(revision: str, endpoint: str | None) -> tuple[str, Mapping[str, HubFile]]:
    """The commit that a revision names, and its files."""
    hub = _hub()
    try:
        api = hub.HfApi(endpoint=endpoint)
        commit = str(api.dataset_info(REPOSITORY, revision=revision).sha)
        tree = api.list_repo_tree(REPOSITORY, recursive=True, revision=commit, repo_type="dataset")
        files = {entry.path: _hub_file(entry) for entry in tree if hasattr(entry, "blob_id")}
    except Exception as error:  # whatever HTTP library the hub's client stands on
        raise SuiteError(f"the Hugging Face hub does not answer ({_first_line(error)}). Without it: {WITHOUT_HUB}") from error
    return commit, {path: file for path, file in files.items() if path not in REFUSED}


def _hub_file(entry: Any) -> HubFile:
    return HubFile(int(entry.size), str(entry.blob_id), str(entry.lfs.sha256) if entry.lfs else "")


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise SuiteError("fetching needs the hub's client. Type: pip install huggingface_hub") from None
    return huggingface_hub


def _check_listing(listed: Mapping[str, HubFile], disk: Path) -> None:
    missing = [name for name in XML_FILES if name not in listed]
    if missing:
        raise SuiteError(f"the hub's {REPOSITORY} lacks {len(missing)} files that LIBERO loads, the first is {missing[0]}")
    unsafe = [name for name in listed if name.startswith("/") or ".." in Path(name).parts]
    if unsafe:
        raise SuiteError(f"the hub's {REPOSITORY} holds a file outside its own folder: {unsafe[0]}")
    disk.mkdir(parents=True, exist_ok=True)
    needed, free = sum(file.size for file in listed.values()), shutil.disk_usage(disk).free
    if free < 1.1 * needed:
        raise SuiteError(
            f"{disk} has {free / 1e6:.0f} MB free, the assets need {needed / 1e6:.0f} MB. Set NORA_BENCH_HOME elsewhere"
        )


def _arrived(folder: Path, commit: str, endpoint: str | None, listed: Mapping[str, HubFile]) -> list[str]:
    """Download, check, and download once more what was damaged; names that are damaged still (and removed)."""
    bad: list[str] = []
    for _ in range(2):
        _download(folder, commit, endpoint)
        bad = [name for name, file in listed.items() if not _same(folder / name, file)]
        for name in bad:
            (folder / name).unlink(missing_ok=True)
        if not bad:
            break
    return bad


def _download(folder: Path, commit: str, endpoint: str | None) -> None:
    """All files of the commit, with the client's own progress bars; files that are there are not fetched again."""
    hub = _hub()
    try:
        hub.snapshot_download(REPOSITORY, repo_type="dataset", revision=commit, local_dir=folder, endpoint=endpoint)
    except Exception as error:
        reason = _first_line(error)
        raise SuiteError(f"the download stopped ({reason}); what arrived is kept. Type the same command to go on") from error


def _same(path: Path, file: HubFile) -> bool:
    """Whether a file's size and digest are those that the hub lists."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    content = path.read_bytes()
    if file.sha256:
        return hashlib.sha256(content).hexdigest() == file.sha256
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.sha1


def _put_in_place(part: Path, home: Path, listed: Mapping[str, HubFile], source: str) -> None:
    """Drop what is not of this commit, write the manifest, give the folder its name."""
    shutil.rmtree(part / "assets" / ".cache", ignore_errors=True)
    for path in [path for path in (part / "assets").rglob("*") if path.is_file()]:
        if path.relative_to(part / "assets").as_posix() not in listed:
            path.unlink()
    write_manifest(part, source=source)
    if home.exists():
        shutil.rmtree(home)
    part.rename(home)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
