"""`nora-bench list`: suites, tasks, policies, protocols, perturbations, instructions."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, List, Literal, get_args  # noqa: UP035  `list` is this verb

import typer

if TYPE_CHECKING:
    from rich.table import Table


Kind = Literal["suites", "tasks", "policies", "protocols", "perturbations", "instructions"]


def list(
    kind: Annotated[Kind, typer.Argument(metavar="|".join(get_args(Kind)), help="Kind of names to list.")],
    suite: Annotated[str, typer.Option(help="With `tasks` and `instructions`: only of this suite or group.")] = "",
    task: Annotated[
        List[int] | None,  # noqa: UP006
        typer.Option(help="With `instructions`: only of this task; repeatable."),
    ] = None,
    wording_kind: Annotated[
        str, typer.Option("--kind", help="With `instructions`: original, lexical, structural, pragmatic, typo or wrong.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List suites, tasks, policies, protocols, perturbations, or the instructions that tasks are given under the axis `language`.

    Protocols stand side by side with differences marked. Example: `nora-bench list tasks --suite libero_goal`
    """
    from ..planning import listing

    _require_effect(kind, {"--suite": bool(suite), "--task": bool(task), "--kind": bool(wording_kind)})
    rows = {
        "suites": listing.suite_rows,
        "tasks": lambda: listing.task_rows(suite),
        "policies": listing.policy_rows,
        "protocols": listing.protocol_rows,
        "perturbations": listing.perturbation_rows,
        "instructions": lambda: listing.instruction_rows(suite, task or (), wording_kind),
    }[kind]()
    if as_json:
        print(json.dumps(rows, indent=2))
    elif kind == "protocols":
        for family in dict.fromkeys(row["family"] for row in rows):
            _print(_side_by_side([row for row in rows if row["family"] == family]))
    elif kind == "perturbations":
        _print(_table([{**row, "values": _numbers(row["values"])} for row in rows]))
    else:
        _print(_table([{**row, "variants": len(row["variants"])} if "variants" in row else row for row in rows]))


def _require_effect(kind: Kind, given: dict[str, bool]) -> None:
    """Raise InputError for options that have no effect on this list."""
    from ...envs.errors import InputError

    used = {"instructions": ("--suite", "--task", "--kind"), "tasks": ("--suite",)}.get(kind, ())
    for option, value in given.items():
        if value and option not in used:
            raise InputError(f"{option} has no effect on `nora-bench list {kind}`: omit it", option=option)


def _print(table: Table) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in rows[0] if rows else ():
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    return table


def _side_by_side(protocols: Sequence[dict[str, Any]]) -> Table:
    """One column per protocol, one row per field; rows in which two protocols differ come first, with a mark."""
    from rich.markup import escape
    from rich.table import Table

    flat = [_flat(protocol) for protocol in protocols]
    names = dict.fromkeys(name for fields in flat for name in fields)
    rows = [(name, [_text(fields.get(name)) for fields in flat]) for name in names if name != "name"]
    table = Table(show_lines=False, header_style="bold")
    for heading in ("", "≠", *(fields["name"] for fields in flat)):
        table.add_column(heading, overflow="fold")
    for name, values in sorted(rows, key=lambda row: len(set(row[1])) == 1):
        differs = len(set(values)) > 1
        table.add_row(name, "≠" if differs else "", *map(escape, values), style="yellow" if differs else None)
    return table


def _numbers(values: dict[str, Any]) -> str:
    """`strength 0.2, side 3`."""
    return ", ".join(f"{name} {_text(value)}" for name, value in values.items())


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as `outer inner` names."""
    out: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{name} ")
        else:
            out[prefix + name] = value
    return out


def _text(value: Any) -> str:
    """Formatted value: `-` where it is not set."""
    if value is None or value == "" or value in ({}, [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
