"""What an examination of this machine finds: values, each with what mends it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How bad a finding is."""

    ok = "ok"
    note = "note"
    """Works, but not as well as it could."""
    problem = "problem"
    """Suites cannot be played, or not rightly."""


@dataclass(frozen=True, slots=True)
class Cure:
    """How to mend one problem: system packages, Python packages, or something for a person to do."""

    apt: tuple[str, ...] = ()
    """Debian packages."""
    pip: tuple[tuple[str, ...], ...] = ()
    """Arguments of `pip install`, one tuple per call."""
    hand: str = ""
    """What a person types; never run by us."""

    @property
    def command(self) -> str:
        """One line to type; empty where nothing is to be done."""
        typed = " && ".join(map(shlex.join, commands([self], sudo=os.geteuid() != 0)))
        return "; ".join(filter(None, [typed, self.hand]))


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, why it matters, and what mends it."""

    name: str
    status: Status
    found: str
    why: str = ""
    cure: Cure = field(default_factory=Cure)

    def to_json(self) -> dict[str, Any]:
        """JSON-able, the cure as a command to type."""
        return {**asdict(self), "cure": self.cure.command}


def ok(name: str, found: str) -> Finding:
    """Nothing to mend."""
    return Finding(name, Status.ok, found)


def commands(cures: Iterable[Cure], *, sudo: bool = False) -> list[list[str]]:
    """The commands that carry out the cures, each once, system packages in one call."""
    cures = list(cures)
    packages = list(dict.fromkeys(package for cure in cures for package in cure.apt))
    calls = dict.fromkeys(call for cure in cures for call in cure.pip)
    prefix = ["sudo"] if sudo else []
    apt = [[*prefix, "apt-get", "update"], [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *packages]]
    return [*(apt if packages else []), *([*installer(), *call] for call in calls)]


def installer() -> list[str]:
    """`pip install` for this interpreter, or uv's where pip is not in it."""
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        return ["uv", "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


def refusal(cure: Cure) -> str:
    """Why we leave a cure to its reader; empty where we run it ourselves."""
    if cure.apt and not shutil.which("apt-get"):
        return "this system has no apt-get"
    if cure.apt and os.geteuid() != 0:
        return "system packages need root"
    return "" if cure.apt or cure.pip else "it is for you to decide"


def run(command: list[str]) -> str:
    """Run one command, its output on stderr. What went wrong; empty where nothing did."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())
    except OSError as error:
        return str(error)
    return f"exit code {done.returncode}" if done.returncode else ""
