"""Forest plot of a table: every measured rate as a point with its 95 % interval, policies under each other in each column."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..tables.model import Cell, Row, Table
from .svg import legend

WIDTH, LEFT, ROW, GAP = 640, 190, 14, 8
"""Pixels: of the plot, of its labels, of one interval, between two columns of the table."""


def forest(table: Table) -> str:
    """The plot as HTML and SVG text; empty where nothing was measured."""
    lines = [line for line in table.rows if line.kind in ("measured", "floor") and line.cells]
    if not lines:
        return ""
    body, top = [], 4
    for column in table.layout.columns:
        for metric in table.layout.metrics:
            shown = [
                (number, line.cells[column.name, metric.name])
                for number, line in enumerate(lines)
                if (column.name, metric.name) in line.cells
            ]
            if shown:
                name = " ".join(filter(None, (column.group, column.label, metric.label if len(table.layout.metrics) > 1 else "")))
                body.append(_column(name, shown, top))
                top += len(shown) * ROW + GAP
    axis = "".join(_tick(percent, top) for percent in (0, 25, 50, 75, 100))
    height = top + 18
    title = escape(table.layout.title)
    drawn = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">{axis}{"".join(body)}</svg>'
    caption = '<figcaption>Rates with 95 % intervals <span class="faint">hollow: the bounds that errors leave</span></figcaption>'
    return f"{legend(_names(lines))}<figure>{caption}{drawn}</figure>"


def _names(lines: Sequence[Row]) -> list[str]:
    return [line.label for line in lines]


def _column(name: str, shown: Sequence[tuple[int, Cell]], top: float) -> str:
    label = f'<text x="{LEFT - 8}" y="{top + len(shown) * ROW / 2 + 4:.1f}" text-anchor="end">{escape(name)}</text>'
    return label + "".join(_interval(cell, number, top + ROW * (row + 0.5)) for row, (number, cell) in enumerate(shown))


def _interval(cell: Cell, number: int, y: float) -> str:
    assert cell.low is not None and cell.high is not None  # measured cells have bounds
    colour = f"var(--run{number % 6})"
    title = f"<title>{escape(cell.text)}</title>"
    ends_at = f'x1="{_x(cell.low):.1f}" x2="{_x(cell.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"'
    line = f'<line style="stroke:{colour}" stroke-width="2" {ends_at}/>'
    ends = [cell.value] if cell.upper is None else [cell.value, cell.upper]
    fill = colour if cell.upper is None else "var(--back)"
    dots = "".join(f'<circle cx="{_x(end):.1f}" cy="{y:.1f}" r="4" style="fill:{fill};stroke:{colour}"/>' for end in ends)
    return f"<g>{title}{line}{dots}</g>"


def _tick(percent: float, bottom: float) -> str:
    x = _x(percent)
    return (
        f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom:.1f}"/>'
        f'<text x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="middle">{percent:.0f}</text>'
    )


def _x(percent: float) -> float:
    return LEFT + (WIDTH - LEFT - 16) * percent / 100
