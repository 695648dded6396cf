"""A table laid out in rows and columns, in its paper's orientation; the input of every text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ..statistics.paired_test import p_text
from .model import Cell, Table

MISSING = "—"


@dataclass(frozen=True, slots=True)
class GridCell:
    """One field of the grid."""

    text: str
    interval: str = ""
    """`[96.3, 99.0]`, for measured cells."""
    count: str = ""
    """Successes/episodes of a measured rate, or the p-value of a difference."""
    marks: tuple[int, ...] = ()
    """Footnote numbers."""
    best: bool = False


@dataclass(slots=True)
class Grid:
    """A table laid out in rows and columns, its footnotes numbered in reading order."""

    title: str
    headers: list[list[tuple[str, int]]]
    """Header rows of (text, columns spanned)."""
    rows: list[str | list[GridCell]] = field(default_factory=list)
    """A heading across the table, or the fields of one row."""
    footnotes: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> list[tuple[int, int]]:
        """[first, last) of the columns under each common header, without the row labels' column."""
        bounds, at = [], 0
        for _, span in self.headers[0]:
            bounds.append((at, at + span))
            at += span
        return bounds[1:]

    def part(self, columns: Sequence[int]) -> Grid:
        """The grid with the row labels and only those columns; without footnotes and notes."""
        kept = [0, *columns]
        headers = []
        for row in self.headers:
            spread = [text for text, span in row for _ in range(span)]
            headers.append([(spread[0], 1), *_spans(spread[column] for column in columns)])
        rows = [row if isinstance(row, str) else [row[column] for column in kept] for row in self.rows]
        return Grid(self.title, headers, rows)

    @property
    def names(self) -> list[str]:
        """One flat name per column."""
        spread = [[text for text, span in row for _ in range(span)] for row in self.headers]
        return [" ".join(dict.fromkeys(part for part in column if part)) for column in zip(*spread, strict=True)]

    def cell(self, text: str, notes: Iterable[str], **fields: Any) -> GridCell:
        """A cell whose notes become footnotes; equal notes share a number."""
        for note in notes:
            if note not in self.footnotes:
                self.footnotes.append(note)
        return GridCell(text, marks=tuple(self.footnotes.index(note) + 1 for note in notes), **fields)


def grid(table: Table) -> Grid:
    """The table in its paper's orientation."""
    return _models_as_rows(table) if table.layout.models == "rows" else _models_as_columns(table)


def _cell(grid: Grid, cell: Cell | None) -> GridCell:
    if cell is None:
        return GridCell(MISSING)
    text, bracket, bounds = cell.text.partition(" [")
    interval = f"[{bounds}" if bracket else ""
    count = f"{cell.k}/{cell.n}" if cell.k is not None and interval else "" if cell.p is None else p_text(cell.p)
    return grid.cell(text, cell.notes, interval=interval, count=count, best=cell.best)


def _spans(texts: Iterable[str]) -> list[tuple[str, int]]:
    return [(text, len(list(run))) for text, run in groupby(texts)]


def _models_as_rows(table: Table) -> Grid:
    layout = table.layout
    keys = [(column, metric) for column in layout.columns for metric in layout.metrics]
    headers = [[(layout.header, 1), *((column.label, len(layout.metrics)) for column in layout.columns)]]
    if any(column.group for column, _ in keys):
        headers.insert(0, [("", 1), *_spans(column.group for column, _ in keys)])
    if len(layout.metrics) > 1:
        headers.append([("", 1), *((metric.label, 1) for _, metric in keys)])
    out = Grid(layout.title, headers, notes=table.notes)
    for line in table.rows:
        if line.section:
            out.rows.append(line.section)
        label = out.cell(line.label, line.notes)
        out.rows.append([label, *(_cell(out, line.cells.get((column.name, metric.name))) for column, metric in keys)])
    return out


def _models_as_columns(table: Table) -> Grid:
    layout = table.layout
    columns = [(line, metric) for line in table.rows for metric in layout.metrics]
    out = Grid(layout.title, [], notes=table.notes)
    labels = {id(line): marked(out.cell(line.label, line.notes)) for line in table.rows}
    out.headers = [[(layout.header, 1), *((labels[id(line)], len(layout.metrics)) for line in table.rows)]]
    if len(layout.metrics) > 1:
        out.headers.append([("", 1), *((metric.label, 1) for _, metric in columns)])
    last = ""
    for name, label, group in _row_heads(table):
        if group and group != last:
            out.rows.append(group)
        last = group
        fields = [_cell(out, line.cells.get((name, metric.name))) for line, metric in columns]
        out.rows.append([GridCell(label), *fields])
    return out


def _row_heads(table: Table) -> list[tuple[str, str, str]]:
    """Name, label and group of each row in tables with policies as columns."""
    layout = table.layout
    rows = [(column.name, column.label, column.group) for column in layout.columns]
    if layout.column_delta:
        rows.append((layout.column_delta["name"], layout.column_delta["name"], ""))
    return rows


def marked(cell: GridCell, form: str = " [{}]") -> str:
    """Text, interval and footnote numbers of a cell."""
    footnotes = form.format(",".join(map(str, cell.marks))) if cell.marks else ""
    return " ".join(filter(None, (cell.text, cell.interval))) + footnotes


def blocks(grid: Grid, width_of: Callable[[Sequence[int]], float], limit: float) -> list[list[int]]:
    """The columns after the row labels', in as few blocks as fit; groups of columns stay together if possible.

    Args:
        grid: the table.
        width_of: width of a block of those columns, row labels included.
        limit: available width.
    """
    groups = [list(range(first, last)) for first, last in grid.groups]
    pieces = [piece for group in groups for piece in ([group] if width_of(group) <= limit else [[column] for column in group])]
    found: list[list[int]] = []
    for piece in pieces:
        if found and width_of([*found[-1], *piece]) <= limit:
            found[-1] += piece
        else:
            found.append(list(piece))
    return found
