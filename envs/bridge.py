"""Folder that lets another interpreter import parts of this package, and nothing else of this installation."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from .paths import cache_errors

PACKAGES = ("envs", "harness", "policies")
"""Parts that a worker needs."""


def bridge(cache: Path) -> Path:
    """A folder for another interpreter's PYTHONPATH, created in `cache` if missing."""
    home = Path(__file__).resolve().parents[1]
    folder = cache / f"bridge-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    with cache_errors(cache):
        (folder / "nora_bench").mkdir(parents=True, exist_ok=True)
        for package in PACKAGES:
            with suppress(FileExistsError):
                (folder / "nora_bench" / package).symlink_to(home / package, target_is_directory=True)
    return folder
