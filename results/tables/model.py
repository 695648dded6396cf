"""A table as data: cells, rows, notes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..layouts import Layout


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table; percent."""

    text: str
    """Text as printed in the paper, or the measured rate with its interval, or k/n alone."""
    value: float
    """The rate; with uncertain episodes counted as failures."""
    notes: tuple[str, ...] = ()
    low: float | None = None
    """95 % bounds, for measured cells."""
    high: float | None = None
    k: int | None = None
    """Successes, for measured rates."""
    n: int = 0
    """Episodes behind it; for published rates, different episodes according to the paper."""
    effective: int = 0
    """Effective number of independent episodes."""
    states: int = 0
    """Initial states behind it, for measured cells."""
    uncertain: int = 0
    """Episodes among them that could have ended either way: errors, and successes after an earlier loss by the policy."""
    upper: float | None = None
    """The rate with those counted as successes; None without any."""
    p: float | None = None
    """Corrected p-value of a measured difference."""
    best: bool = False
    """Whether it is significantly better than every other cell of its column."""


@dataclass(frozen=True, slots=True)
class Row:
    """One policy of a table: a row, or a group of columns in tables with policies as columns."""

    label: str
    kind: str
    """`published`, `measured`, `seeds` (mean ± standard deviation), `floor` (a blind policy) or `delta`."""
    cells: Mapping[tuple[str, str], Cell]
    """(column, metric) -> cell; only existing numbers."""
    notes: tuple[str, ...] = ()
    section: str = ""
    """Heading printed above it."""
    errors: int = 0
    """Episodes that ended in an error."""
    part: str = ""
    """The evaluated part of the benchmark; empty for the whole."""
    ranked: bool = True
    """Whether it may be marked best: only the whole benchmark with its own assets, and a policy without tags."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Run and conditions of a measured row (`results.conditions`)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, ready to be rendered."""

    layout: Layout
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())
    """Notes on the whole table."""
