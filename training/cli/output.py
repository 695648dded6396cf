"""Output that the training verbs share: lines of a plan, and progress of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from ..engine.trainer import ProgressCallback


def is_main_process() -> bool:
    """Whether this process prints: the first of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


def print_line(console: Console, line: str) -> None:
    """Print a line without markup and line breaks, on the main process."""
    if is_main_process():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_plan(console: Console, **lines: object) -> None:
    """Print the plan of a command: names, right-aligned, and their values."""
    for name, text in lines.items():
        print_line(console, f"{name.replace('_', ' '):>15}  {text}")


def progress_callback(console: Console, names: tuple[str, ...]) -> ProgressCallback:
    """A progress callback of the trainer that prints the named metrics."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        metrics = "  ".join(f"{name} {numbers[name]:.4f}" for name in names if name in numbers)
        print_line(console, f"{step:>8}  {metrics}")

    return report
