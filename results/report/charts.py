"""Charts of results as HTML text: heat map of tasks, where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..summary import PHASES
from .svg import legend


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
