"""`nora-bench show`: summary of a run, of an episode or of a table cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ...results.layouts import Layout
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
    metric: Annotated[
        str | None,
        typer.Option(help="Metric of that table, for --cell; an unknown one lists the table's.", show_default="success"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON object on stdout.")] = False,
) -> None:
    """Summarise a run: episodes, success per task, failures and errors, times, provenance.

    Example: `nora-bench show runs/libero-nora --key 'libero_goal/task3/init0/seed0@libero/openvla'`
    """
    from ...results.store.reader import read_run
    from ...results.summary import find_episode, summarise
    from .output import emit

    _check_options(key, cell, table, metric)
    run = read_run(folder)
    if cell is not None:
        from ...results.tables.trace import trace

        layout = _layout(run, table)
        emit(as_json, trace(layout, run, cell, layout.metric(metric or "success").name), partial(_print_traces, layout.id))
    elif key is not None:
        lost = [attempt for attempt in run.lost_attempts if attempt["key"] == key]
        emit(as_json, {**find_episode(run, key).to_json(), "lost_attempts": lost}, partial(_print_episode, run.folder))
    else:
        emit(as_json, summarise(run), _print)


def _check_options(key: str | None, cell: str | None, table: str | None, metric: str | None) -> None:
    """Raise InputError for options that would have no effect."""
    from ...envs.errors import InputError

    for option, value in (("--table", table), ("--metric", metric)):
        if value is not None and cell is None:
            raise InputError(f"{option} needs --cell. Add --cell POLICY/COLUMN", option=option, value=value)
    if key is not None and cell is not None:
        raise InputError("--key and --cell exclude each other. Omit one of them", option="--cell", value=cell)


def _print_episode(folder: Path, values: Mapping[str, Any]) -> None:
    fields = dict(values)
    lost = fields.pop("lost_attempts")
    for name, value in fields.items():
        print(f"{name:18} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    for attempt in lost:
        print(f"attempt {attempt['attempt']} was lost by the {attempt['by']}: {attempt['cause']}; see {folder / attempt['log']}")
    print(f"Replay it with `nora-bench replay {folder} '{values['key']}' --video episode.mp4`")


def _layout(run: StoredRun, table: str | None) -> Layout:
    from ...results import layouts

    if table:
        return layouts.get(table)
    return layouts.fitting({record.suite for record in run.records}, {record.protocol for record in run.records})


def _print_traces(table: str, traces: Sequence[CellTrace]) -> None:
    for trace in traces:
        _print_trace(trace, table)


def _print_trace(trace: CellTrace, table: str) -> None:
    cell = trace.cell
    if trace.source:
        print(f"{trace.policy}/{trace.column} in {table}: {cell.text} %, printed in {trace.source}; no episodes stored")
        for note in cell.notes:
            print(f"  {note}")
        return
    upper = "" if cell.upper is None else f" to {cell.upper:.1f}"
    bounds = f"95 % from {cell.low:.1f} to {cell.high:.1f}"
    print(f"{trace.policy}/{trace.column} in {table}: {cell.value:.1f}{upper} %, {cell.k}/{cell.n}, {bounds}")
    for record in trace.counted:
        print(f"  {'+' if record.success else '-'} {record.key}  {record.steps} steps")
    for record, reason in trace.left_out:
        print(f"  open: {record.key}  {reason}")


def _print(summary: Mapping[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    _head(summary, console)
    for suite in summary["suites"]:
        if not suite["perturbation"]:
            _suite(suite, console)
    _perturbed([suite for suite in summary["suites"] if suite["perturbation"]], summary["folder"], console)
    _endings(summary, console)
    _failures(summary["failures"], console)
    _times(summary["seconds"], console)
    _utilisation(summary.get("utilisation") or {}, console)
    _provenance(summary["provenance"], console)
    _sessions(summary["sessions"], console)
    for note in summary["notes"]:
        console.print(f"! {note}", markup=False)


def _head(summary: Mapping[str, Any], console: Console) -> None:
    from ...results.summary import action_scales, caveats

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
    for scale in action_scales(policy):
        facts = f" ({', '.join(scale.facts)})" if scale.facts else ""
        console.print(f"scaled by  {scale.statistics} for {scale.suite}{facts}", markup=False)


def _source(merged: Mapping[str, Any]) -> str:
    """A run that was merged into this one."""
    counts = merged.get("counts") or {}
    done = f", {counts['done']} of {counts['planned']}" if {"done", "planned"} <= counts.keys() else ""
    return f"{merged.get('name')} ({merged.get('status', 'status unknown')}{done})"


def _named(values: Mapping[str, Any] | None, *names: str) -> str:
    return " ".join(str(values[name]) for name in names if name in values) if values else ""


def _suite(suite: Mapping[str, Any], console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from ...results.summary import successes_by_appearance

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
    if appearances := successes_by_appearance(suite["tasks"]):
        text = ", ".join(f"{appearance} {k}/{n}" for appearance, (k, n) in appearances.items())
        console.print(f"by look    {text}", markup=False)


def _perturbed(suites: Sequence[Mapping[str, Any]], folder: str, console: Console) -> None:
    """One line per perturbation and suite."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from ...results.summary import latency_text

    if not suites:
        return
    table = Table(box=box.SIMPLE_HEAD, title="Perturbed episodes", title_justify="left", pad_edge=False)
    table.add_column("Perturbation, suite")
    for name in ("Success %", "95 %", "k/n"):
        table.add_column(name, justify="right")
    for suite in suites:
        table.add_row(escape(f"{suite['perturbation']}, {_suite_title(suite)}"), *_rate(suite))
    console.print(table)
    for suite in suites:
        if late := suite["latency"]:
            console.print(f"{suite['perturbation']}, {suite['suite']}: {latency_text(late)}", markup=False, soft_wrap=True)
    console.print(f"Against their controls: nora-bench table robust {folder}", markup=False, soft_wrap=True)


def _suite_title(suite: Mapping[str, Any]) -> str:
    extra = [f"{suite['pack']} assets"] if suite["pack"] else []
    extra += [f"backend {suite['backend']}"] if suite["backend"] else []
    extra += [f"{suite['initial_states']} initial states"] if suite["initial_states"] != "published" else []
    extra += [f"images by {' and '.join(suite['renderers'])}"] if suite["renderers"] else []
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
    for lost in summary["lost_attempts"]:
        line = f"lost by {lost['by']}, {lost['count']} x {lost['cause']}, first in {lost['keys'][0]}"
        console.print(line, markup=False, soft_wrap=True)
    for line in summary["action_warnings"]:
        console.print(f"warning    {line}", markup=False, soft_wrap=True)
    for warning, count in summary["warnings"].items():
        console.print(f"warning    {count} x {warning}", markup=False)


def _failures(found: Mapping[str, Any], console: Console) -> None:
    from .verdicts import class_lines

    for line in class_lines(found) if found["classes"] else ():
        console.print(line, markup=False, soft_wrap=True)


def _blame(cause: str) -> str:
    return f"error by {cause}," if cause else f"{'error':10}"


def _counted(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in pairs)


def _times(seconds: Mapping[str, float], console: Console) -> None:
    from ...results.summary import time_shares

    if shares := time_shares(seconds):
        parts = ", ".join(f"{name} {seconds[name]:.1f} s ({share:.0%})" for name, share in shares.items())
        console.print(f"time       {parts}; total {seconds['total']:.1f} s", markup=False)


POLICY_MEASURES = {
    "load_s": "weights in {:.1f} s",
    "first_decision_s": "first decision in {:.1f} s",
    "weights_gib": "{:.2f} GiB of weights",
    "peak_gib": "peak memory {:.2f} GiB",
    "gpu_peak_gib": "GPU {:.2f} GiB",
    "gpu_reserved_gib": "reserved {:.2f} GiB",
}
"""Measurement of a policy (`utilisation.policy` in run.json) -> its part of the line."""


def _utilisation(utilisation: Mapping[str, Any], console: Console) -> None:
    from ...results.summary import busy_shares

    if shares := busy_shares(utilisation):
        workers = f"{utilisation['workers']} workers {shares['workers']:.0%}"
        console.print(f"busy       policy {shares['policy']:.0%}, {workers} of {utilisation['wall_s']:.1f} s", markup=False)
    if memory := _policy_memory(utilisation.get("policy")):
        console.print(f"loading    {memory}", markup=False)


def _policy_memory(measured: Any) -> str:
    """What a policy in this process has measured of its loading and memory; empty where it has not."""
    if not isinstance(measured, dict):
        return ""
    known = {name: value for name in POLICY_MEASURES if isinstance(value := measured.get(name), int | float)}
    return ", ".join(POLICY_MEASURES[name].format(value) for name, value in known.items())


def _provenance(provenance: Mapping[str, Any], console: Console) -> None:
    for name, value in provenance.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        console.print(f"{name:10} {text}", markup=False)


def _sessions(sessions: Sequence[Mapping[str, Any]], console: Console) -> None:
    from ...results.store.sessions import lines

    for line in lines(sessions):
        console.print(line, markup=False, soft_wrap=True)
