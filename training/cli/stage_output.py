"""What the training verbs print alike: lines of a plan, and how far a run is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from ..loop import Report


def say(console: Console, line: str) -> None:
    """Print a line as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def plan(console: Console, **lines: object) -> None:
    """Print what a command is about to do: names and what stands for them."""
    for name, text in lines.items():
        say(console, f"{name.replace('_', ' '):>15}  {text}")


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over `total` things; yields what is told of those that are done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not total) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda count: progress.advance(bar, count)


def updates(console: Console, names: tuple[str, ...]) -> Report:
    """Prints the named metrics of a run whenever the loop reports."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        shown = "  ".join(f"{name} {numbers[name]:.4f}" for name in names if name in numbers)
        say(console, f"{step:>8}  {shown}")

    return report
