"""nora-bench's own writable folder: compiled helpers, generated and downloaded assets, settings found by trying."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """`NORA_BENCH_HOME` where set, else `nora-bench` in the XDG cache folder. Not created here."""
    named = os.environ.get("NORA_BENCH_HOME")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nora-bench"
