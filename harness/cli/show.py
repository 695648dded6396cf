"""`nora-bench show`: what happened in a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ...results.store.reader import StoredRun
    from ...results.tables.trace import CellTrace


def show(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    key: Annotated[str | None, typer.Option(help="Show this one episode.")] = None,
    cell: Annotated[
        str | None,
        typer.Option(metavar="POLICY/COLUMN", help="List the episodes behind this cell of the table that fits the run."),
    ] = None,
    table: Annotated[str | None, typer.Option(metavar="ID", help="The table that --cell is of.")] = None,
    metric: Annotated[str, typer.Option(help="success, partial or distractor, for --cell.")] = "success",
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON object on stdout.")] = False,
) -> None:
    """Summarise a run: what was played, per-task success, failures and errors, times, where it comes from.

    Example: `nora-bench show runs/libero-nora --key 'libero_goal/task3/init0/seed0@libero/openvla'`
    """
    from ...results.store.reader import read_run
    from ...results.summary import summarise

    run = read_run(folder)
    if cell is not None:
        _print_cell(run, cell, table, metric, as_json=as_json)
    elif key is not None:
        _print_episode(run, key, as_json=as_json)
    elif as_json:
        print(json.dumps(summarise(run), indent=2))
    else:
        _print(summarise(run))


def _print_episode(run: StoredRun, key: str, *, as_json: bool) -> None:
    from ...results.summary import find_episode
    from ..errors import InputError

    try:
        values = find_episode(run, key).to_json()
    except KeyError as error:
        raise InputError(str(error.args[0])) from None
    if as_json:
        print(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        print(f"{name:18} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    print(f"Play it again with `nora-bench replay {run.folder} '{key}' --video episode.mp4`")


def _print_cell(run: StoredRun, name: str, table: str | None, metric: str, *, as_json: bool) -> None:
    from ...results import layouts
    from ...results.tables.trace import trace
    from ..errors import InputError

    try:
        layout = layouts.get(table) if table else layouts.fitting({record.suite for record in run.records})
        found = trace(layout, run, name, metric)
    except KeyError as error:
        raise InputError(str(error.args[0])) from None
    if as_json:
        print(json.dumps([_cell_json(one) for one in found], indent=2))
        return
    for one in found:
        _print_traced(one, layout.id)


def _cell_json(one: CellTrace) -> dict[str, Any]:
    return {
        "policy": one.policy,
        "item": one.column,
        "value": one.cell.value,
        "upper": one.cell.upper,
        "low": one.cell.low,
        "high": one.cell.high,
        "k": one.cell.k,
        "n": one.cell.n,
        "source": one.source,
        "notes": list(one.cell.notes),
        "counted": [record.key for record in one.counted],
        "left_out": [{"key": record.key, "reason": reason} for record, reason in one.left_out],
    }


def _print_traced(one: CellTrace, table: str) -> None:
    cell = one.cell
    if one.source:
        print(f"{one.policy}/{one.column} in {table}: {cell.text} %, printed in {one.source}; no episodes of ours")
        for note in cell.notes:
            print(f"  {note}")
        return
    upper = "" if cell.upper is None else f" to {cell.upper:.1f}"
    bounds = f"95 % from {cell.low:.1f} to {cell.high:.1f}"
    print(f"{one.policy}/{one.column} in {table}: {cell.value:.1f}{upper} %, {cell.k}/{cell.n}, {bounds}")
    for record in one.counted:
        print(f"  {'+' if record.success else '-'} {record.key}  {record.steps} steps")
    for record, reason in one.left_out:
        print(f"  open: {record.key}  {reason}")


def _print(summary: Mapping[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    _head(summary, console)
    for suite in summary["suites"]:
        _suite(suite, console)
    _endings(summary, console)
    _times(summary["seconds"], console)
    _use(summary.get("utilisation") or {}, console)
    _provenance(summary["provenance"], console)
    _sessions(summary["sessions"], console)
    for note in summary["notes"]:
        console.print(f"! {note}", markup=False)


def _head(summary: Mapping[str, Any], console: Console) -> None:
    from ...results.summary import caveats

    counts, policy = summary["counts"], summary.get("policy") or {}
    planned = f" of {counts['planned']} planned" if counts["planned"] else ""
    rows = {
        "run": f"{summary['name']} ({summary.get('status', 'status unknown')})",
        "policy": " ".join([policy.get("name", "unknown"), *(f"[{mark}]" for mark in policy.get("marks", ()))]),
        "protocol": _named(summary.get("protocol"), "name", "version"),
        "assets": _named(summary.get("assets"), "pack", "fingerprint"),
        "episodes": f"{counts['finished']} finished{planned}: {counts['scored']} scored, {counts['errors']} ended in an error",
        "merged": ", ".join(map(_source, summary.get("merged") or ())),
        "time": " to ".join(str(summary[name]) for name in ("created", "finished") if summary.get(name)),
    }
    for name, value in rows.items():
        if value:
            console.print(f"{name:10} {value}", markup=False)
    for line in caveats(counts):
        console.print(f"{'':10} {line}", markup=False, soft_wrap=True)
    for line in _scales(policy):
        console.print(f"scaled by  {line}", markup=False)


def _source(merged: Mapping[str, Any]) -> str:
    """A run that was merged into this one."""
    counts = merged.get("counts") or {}
    done = f", {counts['done']} of {counts['planned']}" if {"done", "planned"} <= counts.keys() else ""
    return f"{merged.get('name')} ({merged.get('status', 'status unknown')}{done})"


def _scales(policy: Mapping[str, Any]) -> Iterable[str]:
    """Which statistics scaled the actions of each suite, and where they stood; of a served policy too."""
    found = policy.get("fingerprint") or {}
    served = ((found.get("server") or {}).get("declared") or {}).get("fingerprint")
    found = served if isinstance(served, dict) else found
    names, sources = found.get("statistics"), found.get("statistics_from")
    if not isinstance(names, dict):
        return
    for suite, name in names.items():
        of = sources.get(suite, {}) if isinstance(sources, dict) else {}
        facts = [str(of[fact]) for fact in ("source", "numbers") if of.get(fact)]
        facts += ["named by the user"] if of.get("by") == "option" else []
        facts += [f"sha256 {str(of['sha256'])[:12]}"] if of.get("sha256") else []
        yield f"{name} for {suite}" + (f" ({', '.join(facts)})" if facts else "")


def _named(values: Mapping[str, Any] | None, *names: str) -> str:
    return " ".join(str(values[name]) for name in names if name in values) if values else ""


def _suite(suite: Mapping[str, Any], console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=escape(_suite_title(suite)), title_justify="left", pad_edge=False)
    table.add_column("Task")
    for name in ("Success %", "95 %", "k/n", "Steps", "Seconds"):
        table.add_column(name, justify="right")
    for task in suite["tasks"]:
        label = f"{task['task_id']} {task['task']}" + (f" ({task['variant']})" if task["variant"] else "")
        table.add_row(escape(label), *_rate(task), f"{task['steps']:.0f}", f"{task['seconds']:.1f}")
    table.add_section()
    table.add_row("Mean over tasks", *_rate(suite), "", "")
    console.print(table)
    _by_look(suite["tasks"], console)


def _by_look(tasks: Iterable[Mapping[str, Any]], console: Console) -> None:
    """Successes per look over all tasks, where there are several."""
    found: dict[str, list[int]] = {}
    for task in tasks:
        for look, counted in task["looks"].items():
            found[look] = [a + b for a, b in zip(found.get(look, (0, 0)), counted, strict=True)]
    if found:
        console.print(f"by look    {', '.join(f'{look} {k}/{n}' for look, (k, n) in found.items())}", markup=False)


def _suite_title(suite: Mapping[str, Any]) -> str:
    extra = [f"{suite['pack']} assets"] if suite["pack"] else []
    extra += [f"played by {suite['backend']}"] if suite["backend"] else []
    extra += [f"pictures by {' and '.join(suite['renderers'])}"] if suite["renderers"] else []
    extra += [f"{suite['repeats']} repeated episodes not counted again"] if suite["repeats"] else []
    extra += [f"{suite['errors']} ended in an error"] if suite["errors"] else []
    return f"{suite['suite']} ({', '.join(extra)})" if extra else suite["suite"]


def _rate(entry: Mapping[str, Any]) -> list[str]:
    return [
        f"{100 * entry['mean']:.1f}",
        f"{100 * entry['low']:.1f} to {100 * entry['high']:.1f}",
        f"{entry['k']}/{entry['n']}",
    ]


def _endings(summary: Mapping[str, Any], console: Console) -> None:
    for title, counts in (("ended by", summary["terminations"]), ("decisions", summary["chunk_status"])):
        if counts:
            console.print(f"{title:10} {_counted(counts.items())}", markup=False)
    for error in summary["errors"]:
        console.print(f"{_blame(error['cause'])} {error['count']} x {error['error']}, first in {error['keys'][0]}", markup=False)
    for line in summary["action_warnings"]:
        console.print(f"warning    {line}", markup=False, soft_wrap=True)
    for warning, count in summary["warnings"].items():
        console.print(f"warning    {count} x {warning}", markup=False)


def _blame(cause: str) -> str:
    return f"error by {cause}," if cause else f"{'error':10}"


def _counted(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in pairs)


def _times(seconds: Mapping[str, float], console: Console) -> None:
    total = seconds["total"]
    if total:
        parts = ", ".join(f"{name} {value:.1f} s ({value / total:.0%})" for name, value in seconds.items() if name != "total")
        console.print(f"time went  {parts}; in all {total:.1f} s", markup=False)


def _use(used: Mapping[str, float], console: Console) -> None:
    wall, workers = used.get("wall_s", 0.0), used.get("workers", 0)
    if wall and workers:
        shares = (
            f"policy {used.get('policy_s', 0.0) / wall:.0%}, {workers} workers {used.get('workers_s', 0.0) / wall / workers:.0%}"
        )
        console.print(f"busy       {shares} of {wall:.1f} s", markup=False)


def _provenance(provenance: Mapping[str, Any], console: Console) -> None:
    for name, value in provenance.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        console.print(f"{name:10} {text}", markup=False)


def _sessions(sessions: Sequence[Mapping[str, Any]], console: Console) -> None:
    from ...results.store.sessions import lines

    for line in lines(sessions):
        console.print(line, markup=False, soft_wrap=True)
