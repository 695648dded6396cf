"""Charts of results as HTML text: heat map of tasks, where the time went, rates with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ..summary import PHASES
from ..tables.model import Cell, Table


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A horizontally scrolling table; fields are HTML."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{text}</td>' for text in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def heat_map(suites: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Tasks by runs, coloured by success rate.

    Args:
        suites: run name -> entries of `summary.suites`.
    """
    names = list(suites)
    found: dict[str, dict[tuple[int, str, str], dict[str, Mapping[str, Any]]]] = {}
    for run, entries in suites.items():
        for entry in entries:
            for task in entry["tasks"]:
                key = (task["task_id"], task["task"], task["variant"])
                found.setdefault(entry["suite"], {}).setdefault(key, {})[run] = task
    return "\n".join(_heat_suite(suite, tasks, names) for suite, tasks in found.items())


def _heat_suite(suite: str, tasks: Mapping[tuple[int, str, str], Mapping[str, Mapping[str, Any]]], names: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = []
    for (number, task, variant), by_run in sorted(tasks.items()):
        label = f"{number} {task.replace('_', ' ')}" + (f" ({variant})" if variant else "")
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{"".join(_heat_cell(by_run.get(name)) for name in names)}</tr>')
    body = "\n".join(rows)
    return (
        f'<h3>{escape(suite)}</h3><div class="wide"><table class="heat"><thead><tr><th>Task</th>{head}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _heat_cell(task: Mapping[str, Any] | None) -> str:
    if task is None:
        return "<td>—</td>"
    hue, title = 10 + 130 * task["mean"], f"95 % from {100 * task['low']:.0f} to {100 * task['high']:.0f}"
    style = f"background:hsl({hue:.0f} 55% 50% / 0.45)"
    return f'<td style="{style}" title="{title}">{100 * task["mean"]:.0f} <small>{task["k"]}/{task["n"]}</small></td>'


def time_bars(seconds: Mapping[str, Mapping[str, float]]) -> str:
    """Per run, a bar of the episodes' seconds by phase.

    Args:
        seconds: run name -> `summary.seconds`.
    """
    parts = [*PHASES, "waiting and other"]
    bars = [legend(parts)]
    for name, spent in seconds.items():
        total = spent["total"]
        values = [spent[phase] for phase in PHASES]
        values.append(max(0.0, total - sum(values)))
        whole = sum(values) or 1.0
        spans = "".join(
            f'<span style="width:{100 * value / whole:.1f}%;background:var(--run{number})" title="{escape(part)} {value:.0f} s">'
            f"{100 * value / whole:.0f} %</span>"
            for number, (part, value) in enumerate(zip(parts, values, strict=True))
            if value > 0
        )
        bars.append(f'<h3>{escape(name)} <span class="faint">{total:.0f} s of episodes</span></h3><div class="bar">{spans}</div>')
    return "\n".join(bars)


WIDTH, LEFT, ROW, GAP = 640, 190, 14, 8
"""Pixels: of the plot, of its labels, of one interval, between two columns of the table."""


def forest(table: Table) -> str:
    """Forest plot as HTML and SVG text: every measured rate with its 95 % interval; empty where nothing was measured."""
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
                body.append(interval_group(name, shown, top, _interval))
                top += len(shown) * ROW + GAP
    axis = "".join(_tick(percent, top) for percent in (0, 25, 50, 75, 100))
    height = top + 18
    title = escape(table.layout.title)
    drawn = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">{axis}{"".join(body)}</svg>'
    caption = '<figcaption>Rates with 95 % intervals <span class="faint">hollow: the bounds that errors leave</span></figcaption>'
    return f"{legend([line.label for line in lines])}<figure>{caption}{drawn}</figure>"


def interval_group(name: str, shown: Sequence[tuple[int, Cell]], top: float, interval: Callable[[Cell, int, float], str]) -> str:
    """A column of a table as one labelled group of intervals, SVG text.

    Args:
        name: label.
        shown: (number of the row, cell).
        top: y of the group in pixels.
        interval: draws a cell's interval, from the cell, the number of its row and y.
    """
    label = f'<text x="{LEFT - 8}" y="{top + len(shown) * ROW / 2 + 4:.1f}" text-anchor="end">{escape(name)}</text>'
    return label + "".join(interval(cell, number, top + ROW * (row + 0.5)) for row, (number, cell) in enumerate(shown))


def percent_grid(left: float, right: float, y: Callable[[float], float]) -> str:
    """Horizontal lines at 0 to 100 % with their labels, SVG text; `y`: share -> pixels."""
    return "".join(
        f'<line class="axis" x1="{left}" x2="{right}" y1="{y(share):.1f}" y2="{y(share):.1f}"/>'
        f'<text x="{left - 4}" y="{y(share) + 4:.1f}" text-anchor="end">{100 * share:.0f}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )


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


def legend(names: Sequence[str]) -> str:
    """Coloured squares with names."""
    return "".join(
        f'<span class="key" style="background:var(--run{number % 6})"></span>{escape(name)}' for number, name in enumerate(names)
    )
