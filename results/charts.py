"""Pictures of results as HTML and SVG text: heat map of tasks, success over steps, where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .records import EpisodeRecord
from .summary import PHASES

WIDTH, HEIGHT, LEFT, BOTTOM = 360, 200, 34, 24
POINTS = 80
"""Points of a curve at most."""


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


def curves(records: Mapping[str, Sequence[EpisodeRecord]]) -> str:
    """Per suite, the share of episodes solved within so many steps, a curve for each run."""
    suites = dict.fromkeys(record.suite for own in records.values() for record in own)
    charts = [
        _chart(suite, [[r for r in own if r.suite == suite and r.success is not None] for own in records.values()])
        for suite in suites
    ]
    return f'{legend(list(records))}<div class="charts">{"".join(charts)}</div>'


def _chart(suite: str, runs: Sequence[Sequence[EpisodeRecord]]) -> str:
    longest = max([record.steps for own in runs for record in own], default=1) or 1
    lines = [
        f'<polyline class="curve" style="stroke:var(--run{number % 6})" points="{_points(own, longest)}"/>'
        for number, own in enumerate(runs)
        if own
    ]
    grid = [
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH}" y1="{_y(share):.1f}" y2="{_y(share):.1f}"/>'
        f'<text x="{LEFT - 4}" y="{_y(share) + 4:.1f}" text-anchor="end">{100 * share:.0f}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    ticks = "".join(
        f'<text x="{_x(longest * part, longest):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{longest * part:.0f}</text>'
        for part, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    caption = f'<figcaption>{escape(suite)} <span class="faint">solved (%) within steps</span></figcaption>'
    inside = "".join([*grid, ticks, *lines])
    return f'<figure>{caption}<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(suite)}">{inside}</svg></figure>'


def _points(records: Sequence[EpisodeRecord], longest: int) -> str:
    solved = sorted(record.steps for record in records if record.success)
    stride = max(1, len(solved) // POINTS)
    corners = [(0.0, 0.0)]
    for count in [*range(stride, len(solved), stride), len(solved)]:
        if count:
            corners += [(solved[count - 1], corners[-1][1]), (solved[count - 1], count / len(records))]
    corners.append((longest, corners[-1][1]))
    return " ".join(f"{_x(step, longest):.1f},{_y(share):.1f}" for step, share in corners)


def _x(step: float, longest: int) -> float:
    return LEFT + (WIDTH - LEFT - 4) * step / longest


def _y(share: float) -> float:
    return 8 + (HEIGHT - BOTTOM - 8) * (1 - share)


def legend(names: Sequence[str]) -> str:
    """Coloured squares with names."""
    return "".join(
        f'<span class="key" style="background:var(--run{number % 6})"></span>{escape(name)}' for number, name in enumerate(names)
    )


def time_bars(seconds: Mapping[str, Mapping[str, float]]) -> str:
    """Per run, a bar of the episodes' seconds by phase.

    Args:
        seconds: run name -> `summary.seconds`.
    """
    parts = [*PHASES, "waiting and the rest"]
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
