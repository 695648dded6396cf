"""Download of SimplerEnv's official assets from upstream's public repository: resumable, every file verified.

`upstream_files.json` lists the files and their git blob ids at the pinned commit.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...download import RemoteFile, check_disk_space, git_blob, part_folder, put_in_place
from ...errors import SuiteError
from ...manifest import damaged_files
from ...safe_io import atomic_write
from .required_files import FETCH, ROOT, VARIABLE

ENDPOINT = "https://raw.githubusercontent.com/simpler-env/ManiSkill2_real2sim"
PARALLEL_DOWNLOADS = 8
TIMEOUT_S = 60.0
REQUIRED_BYTES = 600_000_000
"""Free disk space required: more than the files take."""


def fetch(home: Path, *, endpoint: str = ENDPOINT, say: Callable[[str], None] = print) -> Path:
    """Download the official pack unless it is complete; its folder, `home/assets`.

    Args:
        home: the pack's folder, created here; `<home>.part` beside it holds the files received so far.
        endpoint: address that serves `<commit>/<path>`, e.g. a mirror.
        say: receives progress lines.

    Raises:
        SuiteError: a file cannot be downloaded or differs from upstream's, or the disk is full.
    """
    source, commit, files = upstream()
    if not damaged_files(home) and all((home / "assets" / ROOT / name).is_file() for name in files):
        say(f"already complete: {home}")
        return home / "assets"
    folder = part_folder(home) / "assets" / ROOT
    folder.mkdir(parents=True, exist_ok=True)
    check_disk_space(folder, REQUIRED_BYTES)
    due = {name: blob for name, blob in files.items() if not RemoteFile(blob).matches(folder / name)}
    say(f"{source} at {commit}: {len(due)} of {len(files)} files to fetch")
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        list(pool.map(lambda name: _download(f"{endpoint}/{commit}/{urllib.parse.quote(name)}", folder / name, due[name]), due))
    return put_in_place(home, source=f"{source} at {commit}", names={f"{ROOT}/{name}" for name in files})


def upstream() -> tuple[str, str, Mapping[str, str]]:
    """Address and commit of upstream's repository; path in it -> git blob id, for every file of the pack."""
    data = json.loads(Path(__file__).with_name("upstream_files.json").read_text(encoding="utf-8"))
    files = {f"{folder}/{name}".lstrip("/"): digest for folder, names in data["files"].items() for name, digest in names.items()}
    return data["source"], data["commit"], files


def _download(url: str, path: Path, blob: str) -> None:
    """Download one file, which appears at `path` once it is verified."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            content = response.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SuiteError(
            f"{url} cannot be downloaded ({reason}); what arrived is kept. Type: {FETCH}   (to resume), set {VARIABLE} to a "
            "folder that contains ManiSkill2_real2sim, or pass --assets standin"
        ) from None
    if git_blob(content) != blob:
        raise SuiteError(f"{url} differs from the file of upstream's commit. Type: {FETCH}   (to fetch it again)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as scratch:
        scratch.write_bytes(content)
