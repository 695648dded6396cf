"""Provenance of results: code, versions, machine. Read, never guessed; unknown facts are omitted."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from ...envs.versions import MISSING, installed_versions

DISTRIBUTIONS = ("nora-bench", "numpy", "msgpack", "onnxruntime", "torch", "transformers", "tokenizers", "safetensors")
"""Distributions of the main process that can change a policy's action chunks."""


def versions() -> dict[str, str]:
    """Distribution -> version in this interpreter, for those that are installed; and Python's own."""
    installed = {name: version for name, version in installed_versions(DISTRIBUTIONS).items() if version != MISSING}
    return {"python": platform.python_version(), **installed}


def commit() -> dict[str, Any] | None:
    """`sha` of the checkout that this code runs from, and whether it was `modified`; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    sha = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
    changes = _output(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    return None if sha is None else {"sha": sha, "modified": bool(changes)}


def hardware() -> dict[str, Any]:
    """CPU model, cores usable by this process, memory in GiB, GPUs."""
    gpus = _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus.splitlines() if gpus else [],
    }


def host() -> dict[str, str]:
    """Operating system and interpreter."""
    return {"platform": platform.platform(), "python": sys.version.split()[0], "machine": platform.machine()}


def cpu_model() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _output(command: Sequence[str]) -> str | None:
    try:
        completed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout.strip()


def duration(seconds: float) -> str:
    """Seconds as `2 h 05 min`, `3 min 20 s` or `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
