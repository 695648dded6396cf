"""Rates and differences as cells of a table."""

from __future__ import annotations

from ..rates import Rate
from ..statistics.paired_test import Difference
from .model import Cell

FEW = 10
"""Cells with fewer initial states show k/n alone; the interval, in json and csv, is too wide for comparisons."""
MOST = 10**9
"""Cap of the effective number of episodes, which is infinite for a rate that is known exactly."""


def rate_cell(found: Rate) -> Cell:
    """The rate as a cell; with uncertain episodes its value is the lower reading, and its text has both."""
    low, high = found.bounds
    few = found.low.clusters < FEW
    return Cell(
        text=_rate_text(found, few),
        value=100 * found.low.mean,
        low=100 * low,
        high=100 * high,
        k=found.low.k,
        n=found.low.n,
        effective=int(min(found.low.effective, MOST)),
        states=found.low.clusters,
        uncertain=found.uncertain,
        upper=100 * found.high.mean if found.uncertain else None,
    )


def _rate_text(found: Rate, few: bool) -> str:
    """`98.0 [96.3, 99.0]`; `90.5 to 100.0 [88.9, 100.0]` with errors; `3/4`, `2 to 3/4` for few states."""
    ends = dict.fromkeys((found.low, found.high))
    if few:
        return " to ".join(str(end.k) for end in ends) + f"/{found.low.n}"
    low, high = found.bounds
    return " to ".join(f"{100 * end.mean:.1f}" for end in ends) + f" [{100 * low:.1f}, {100 * high:.1f}]"


def difference_text(found: Difference) -> str:
    """`-12.0 [-20.1, -4.5]`; `-14.0 to -10.0 [-21.0, -4.0]` with uncertain episodes."""
    means = dict.fromkeys(f"{100 * mean + 0.0:+.1f}" for mean in found.means)
    return f"{' to '.join(means)} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
