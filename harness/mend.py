"""What mends a problem: commands that a person can type, and those of them that `doctor --fix` runs itself."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass


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
