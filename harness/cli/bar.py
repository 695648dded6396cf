"""How far a verb that works through many things is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from ..execution.progress import LINE_S
from ..planning.provenance import duration


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many of `total` things are done and the time left; yields what is told how many more are done.

    A bar in a terminal, a line every half minute elsewhere, nothing where there is nothing to do.
    """
    if not console.is_terminal:
        yield _lines(console, what, total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not total) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda count: progress.advance(bar, count)


def _lines(console: Console, what: str, total: int) -> Callable[[int], None]:
    done, started = 0, time.monotonic()
    due = started + LINE_S

    def report(count: int) -> None:
        nonlocal done, due
        done += count
        now = time.monotonic()
        if done and now >= due:
            due = now + LINE_S
            left = duration((now - started) * (total - done) / done)
            console.print(f"{what} {done}/{total}, {left} left", markup=False, highlight=False, soft_wrap=True)

    return report
