"""Probes in a process of their own: a graphics library that fails can end its process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping


class ProbeError(Exception):
    """The probe's process could not be started, timed out or was killed by a signal."""


def run_probe(
    script: str, variables: Mapping[str, str], *, python: str = sys.executable, timeout_s: float, folder: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script with these environment variables set, in `folder`; return its exit code and output. Raises ProbeError."""
    try:
        completed = subprocess.run(
            [python, "-c", script],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"no answer within {timeout_s:.0f} s") from None
    except OSError as error:
        raise ProbeError(str(error)) from None
    if completed.returncode < 0:
        raise ProbeError(f"the process died of signal {-completed.returncode}")
    return completed


def last_line(completed: subprocess.CompletedProcess[str]) -> str:
    """Last line that the probe printed."""
    return completed.stdout.strip().rpartition("\n")[2]


def raised(completed: subprocess.CompletedProcess[str]) -> str:
    """First exception of the probe, or its exit code. Exceptions that follow come from destructors."""
    match = re.search(r"^[\w.]+(Error|Exception)\b.*$", completed.stderr, re.MULTILINE)
    return match.group() if match else f"exit code {completed.returncode}"
