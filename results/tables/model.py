"""A table as data: cells, rows, notes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..layouts import Layout


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table; percent."""

    text: str
    """As printed in the paper, or the measured rate with its interval, or k/n alone."""
    value: float
    """The rate; where errors leave it open, with all of them counted as failures."""
    notes: tuple[str, ...] = ()
    low: float | None = None
    """95 % bounds, for measured cells."""
    high: float | None = None
    k: int | None = None
    """Successes, for measured rates."""
    n: int = 0
    """Episodes behind it; for published rates, different episodes as the paper tells."""
    effective: int = 0
    """Independent episodes that would say as much."""
    states: int = 0
    """Initial states behind it, for measured cells."""
    uncertain: int = 0
    """Episodes among them that could have ended either way: errors, and successes after the policy had lost them before."""
    upper: float | None = None
    """The rate with all of those counted as successes; None where there are none."""
    p: float | None = None
    """Corrected p-value of a measured difference."""
    best: bool = False
    """Whether it is better than every other of its column by more than chance explains."""


@dataclass(frozen=True, slots=True)
class Row:
    """One policy of a table: a row, or a group of columns where policies are columns."""

    label: str
    kind: str
    """`published`, `measured`, `seeds` (mean ± standard deviation), `floor` (a policy that does not look) or `delta`."""
    cells: Mapping[tuple[str, str], Cell]
    """(item, metric) -> cell; absent where there is no number."""
    notes: tuple[str, ...] = ()
    section: str = ""
    """Heading printed above it."""
    errors: int = 0
    """Episodes that ended in an error."""
    part: str = ""
    """What of the benchmark was played, where it was not the whole."""
    ranked: bool = True
    """Whether it may be called best: only the whole benchmark with its own assets, and a policy without marks."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Run and conditions of a measured row (`results.conditions`)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, ready to be rendered."""

    layout: Layout
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())
    """What holds for all of it."""
