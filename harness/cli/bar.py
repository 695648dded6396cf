"""Progress bar of a verb that processes many items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from ..execution.progress import LINE_S
from ..planning.provenance import duration


@contextmanager
def counting(console: Console, label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` items are done and the time left; yields a callback that takes the number of further items.

    A bar in a terminal, a line every half minute elsewhere, nothing where `total` is 0.
    """
    if not console.is_terminal:
        yield _lines(console, label, total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not total) as progress:
        bar = progress.add_task(label, total=total)
        yield lambda count: progress.advance(bar, count)


def _lines(console: Console, label: str, total: int) -> Callable[[int], None]:
    done, started = 0, time.monotonic()
    due = started + LINE_S

    def report(count: int) -> None:
        nonlocal done, due
        done += count
        now = time.monotonic()
        if done and now >= due:
            due = now + LINE_S
            left = duration((now - started) * (total - done) / done)
            console.print(f"{label} {done}/{total}, {left} left", markup=False, highlight=False, soft_wrap=True)

    return report
