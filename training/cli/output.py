"""What the training verbs print alike: lines of a plan, and metrics of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from ..engine.trainer import Report


def speaks() -> bool:
    """Whether this process prints: of several that train together, the first, as whoever launched them says."""
    return os.environ.get("RANK", "0") == "0"


def say(console: Console, line: str) -> None:
    """Print a line as it is."""
    if speaks():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def plan(console: Console, **lines: object) -> None:
    """Print what a command is about to do: names and what stands for them."""
    for name, text in lines.items():
        say(console, f"{name.replace('_', ' '):>15}  {text}")


def updates(console: Console, names: tuple[str, ...]) -> Report:
    """Prints the named metrics of a run whenever the loop reports."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        shown = "  ".join(f"{name} {numbers[name]:.4f}" for name in names if name in numbers)
        say(console, f"{step:>8}  {shown}")

    return report
