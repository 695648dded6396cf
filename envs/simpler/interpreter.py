"""Interpreter of the backend sapien2: a virtual environment with SAPIEN 2.2.2, for which only Python 3.10 and 3.11 have wheels.

`NORA_BENCH_SAPIEN2_PYTHON` names one; otherwise it is the one that `nora-bench doctor --fix --simpler` makes in the cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..paths import cache_home

VARIABLE = "NORA_BENCH_SAPIEN2_PYTHON"
PINS = ("numpy==1.26.4", "ruckig==0.19.4", "setuptools==80.9.0")
"""Versions that the recordings were made with; SAPIEN 2.2.2 needs numpy below 2 and setuptools below 81."""
PIN_ALONE = "sapien==2.2.2"
"""Installed without its dependencies: those are for rendering and downloads, which physics does not use."""
VERSIONS = {"sapien": "2.2.2", "ruckig": "0.19.4", "numpy": "1.26.4"}
"""Those of them that results depend on."""
PYTHONS = ("3.11", "3.10")
"""Versions with wheels, the preferred first."""
FIX = "nora-bench doctor --fix --simpler"


def venv_folder() -> Path:
    """The virtual environment that `doctor --fix --simpler` makes."""
    return cache_home() / "simpler" / "sapien2"


def find_interpreter() -> Path | None:
    """The interpreter named by the variable, else the one in the cache; None where it does not exist."""
    named = os.environ.get(VARIABLE)
    path = Path(named).expanduser() if named else venv_folder() / "bin" / "python"
    return path.absolute() if path.is_file() else None  # not resolved: a virtual environment is found by its own path


def is_default() -> bool:
    """Whether the suites use the backend by default: its interpreter exists, or the variable names one."""
    return bool(os.environ.get(VARIABLE)) or find_interpreter() is not None


def problem() -> str:
    """Why the backend cannot be used, with the command that helps; empty where its interpreter exists."""
    if find_interpreter():
        return ""
    named = os.environ.get(VARIABLE)
    missing = f"{VARIABLE}={named}: file not found" if named else f"interpreter of SAPIEN 2.2.2 not found: {venv_folder()}"
    return f"{missing}. Type: {remedy()}"


def remedy() -> str:
    """The command that helps where the interpreter does not work; nothing is installed in one that the variable names."""
    return f"unset {VARIABLE} && {FIX}" if os.environ.get(VARIABLE) else FIX


def base_interpreters() -> Iterator[Path]:
    """Interpreters of Python 3.11 and 3.10 on this machine, each started once to see that it works."""
    for version in PYTHONS:
        for path in _candidates(version):
            if _version(path) == version:
                yield path


def _candidates(version: str) -> Iterator[Path]:
    name = f"python{version}"
    found = [shutil.which(name), f"/usr/bin/{name}", f"/usr/local/bin/{name}"]
    yield from dict.fromkeys(Path(path) for path in found if path and Path(path).is_file())
    for root in (os.environ.get("PYENV_ROOT", "~/.pyenv"), "~/.local/share/uv/python"):
        yield from sorted(Path(root).expanduser().glob(f"**/bin/{name}"), reverse=True)


def _version(python: Path) -> str:
    """Version of an interpreter that can make virtual environments; empty for others."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
