"""Results of the checks of an installation, and their fixes."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

NORA_BENCH = (sys.executable, "-c", "from nora_bench.harness.cli import main; main()")
"""Command line of this installation, whatever is on the PATH."""


class Status(StrEnum):
    """Severity of a check's result."""

    ok = "ok"
    note = "note"
    """Works, but not as well as it could."""
    problem = "problem"
    """Suites cannot be run, or give wrong results."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Fix for one problem: system packages, Python packages, or a command for the user."""

    apt: tuple[str, ...] = ()
    """Debian packages."""
    pip: tuple[tuple[str, ...], ...] = ()
    """Arguments of `pip install`, one tuple per call."""
    fetch: tuple[str, ...] = ()
    """Arguments of nora-bench that download an asset pack; run by `--fix --assets` only."""
    interpreter: tuple[Sequence[str], ...] = ()
    """Commands that make another interpreter; run by `--fix --simpler` only."""
    manual: str = ""
    """Command for the user to type, or a remark on `fetch`; never run by `--fix`."""

    @property
    def command(self) -> str:
        """One line to type; empty where nothing needs fixing."""
        typed = " && ".join(map(shlex.join, commands([self], sudo=os.geteuid() != 0)))
        manual = f"nora-bench {shlex.join(self.fetch)}   ({self.manual})" if self.fetch else self.manual
        manual = "nora-bench doctor --fix --simpler" if self.interpreter else manual
        return "; ".join(filter(None, [typed, manual]))


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Observation of one check, the reason why it matters, and the fix."""

    name: str
    status: Status
    observed: str
    reason: str = ""
    fix: Fix = field(default_factory=Fix)

    def to_json(self) -> dict[str, Any]:
        """JSON-able, the fix as a command to type."""
        return {**asdict(self), "fix": self.fix.command}


def ok(name: str, observed: str) -> CheckResult:
    """A passed check."""
    return CheckResult(name, Status.ok, observed)


def commands(fixes: Iterable[Fix], *, sudo: bool = False, assets: bool = False, simpler: bool = False) -> list[list[str]]:
    """Commands that apply the fixes, each once, system packages in one call.

    `assets`: downloads of asset packs are wanted. `simpler`: other interpreters for SimplerEnv are.
    """
    fixes = list(fixes)
    packages = list(dict.fromkeys(package for fix in fixes for package in fix.apt))
    calls = dict.fromkeys(call for fix in fixes for call in fix.pip)
    prefix = ["sudo"] if sudo else []
    apt = [[*prefix, "apt-get", "update"], [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *packages]]
    fetches = dict.fromkeys(fix.fetch for fix in fixes if fix.fetch and assets)
    pip = ([*installer(), *call] for call in calls)
    interpreters = [list(command) for fix in fixes for command in fix.interpreter if simpler]
    return [*(apt if packages else []), *pip, *([*NORA_BENCH, *call] for call in fetches), *interpreters]


def installer() -> list[str]:
    """`pip install` for this interpreter, or uv's where it has no pip."""
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        return ["uv", "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


def reason_not_run(fix: Fix, *, assets: bool = False, simpler: bool = False) -> str:
    """Reason why `--fix` leaves a fix to the user; empty where it applies it. `assets`, `simpler`: see `commands`."""
    if fix.apt and not shutil.which("apt-get"):
        return "this system has no apt-get"
    if fix.apt and os.geteuid() != 0:
        return "system packages need root"
    wanted = fix.apt or fix.pip or (fix.fetch and assets) or (fix.interpreter and simpler)
    return "" if wanted else "only the user can decide"


def run(command: list[str]) -> str:
    """Run one command with its output on stderr; return the problem, empty where it succeeded."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PIP_NO_INPUT": "1"}
    try:
        completed = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())
    except OSError as error:
        return str(error)
    return f"exit code {completed.returncode}" if completed.returncode else ""
