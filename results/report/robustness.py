"""Forest plot of the differences of perturbed episodes to their controls."""

from __future__ import annotations

from html import escape

from ..tables.model import Cell, Table
from .charts import GAP, LEFT, ROW, WIDTH, interval_group, legend

EDGE = 100
"""Largest difference, in points."""


def forest(table: Table) -> str:
    """Forest plot as HTML and SVG text: every difference with its interval, around a line at zero; empty without differences."""
    lines = [line for line in table.rows if line.kind == "measured" and line.cells]
    body, top = [], 4
    for column in table.layout.columns:
        shown = [(number, line.cells.get((column.name, "success"))) for number, line in enumerate(lines)]
        drawn = [(number, cell) for number, cell in shown if cell is not None and cell.p is not None]
        if drawn:
            body.append(interval_group(column.label, drawn, top, _interval))
            top += len(drawn) * ROW + GAP
    if not body:
        return ""
    axis = "".join(_tick(points, top) for points in (-100, -50, 0, 50, 100))
    title = escape(table.layout.title)
    drawn_svg = f'<svg viewBox="0 0 {WIDTH} {top + 18}" role="img" aria-label="{title}">{axis}{"".join(body)}</svg>'
    caption = "<figcaption>Perturbed minus control, points, simultaneous 95 % intervals</figcaption>"
    return f"{legend([line.label for line in lines])}<figure>{caption}{drawn_svg}</figure>"


def _interval(cell: Cell, number: int, y: float) -> str:
    assert cell.low is not None and cell.high is not None  # differences have bounds
    colour = f"var(--run{number % 6})"
    ends_at = f'x1="{_x(cell.low):.1f}" x2="{_x(cell.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"'
    line = f'<line style="stroke:{colour}" stroke-width="2" {ends_at}/>'
    dot = f'<circle cx="{_x(cell.value):.1f}" cy="{y:.1f}" r="4" style="fill:{colour};stroke:{colour}"/>'
    return f"<g><title>{escape(cell.text)}</title>{line}{dot}</g>"


def _tick(points: float, bottom: float) -> str:
    x = _x(points)
    return (
        f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom:.1f}"/>'
        f'<text x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="middle">{points:+.0f}</text>'
    )


def _x(points: float) -> float:
    return LEFT + (WIDTH - LEFT - 24) * (points + EDGE) / (2 * EDGE)
