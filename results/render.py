"""A table as text: terminal, markdown, latex, html for people; csv and json, with every bound, for programs."""

from __future__ import annotations

import csv
import html as escaping
import io
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .grid import Box, grid, marked
from .latex import latex
from .tables import Cell, Line, Table

if TYPE_CHECKING:
    from rich.console import Console


def terminal(table: Table, console: Console) -> None:
    """Print it, fitted to the console: where policies are columns, a policy's metrics share one."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    laid = grid(table)
    size = len(table.layout.metrics)
    out = RichTable(title=laid.title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    heads = [text for text, _ in laid.headers[0]] if size > 1 else laid.names
    if size > 1:
        heads[0] += "\n" + " / ".join(metric.label for metric in table.layout.metrics)
    for number, name in enumerate(heads):
        out.add_column(escape(name), justify="right" if number else "left")
    for row in laid.rows:
        if isinstance(row, str):
            out.add_row(f"[italic]{escape(row)}[/]")
            continue
        first, *rest = (_terminal_box(field, escape) for field in row)
        out.add_row(first, *(_packed(rest[at : at + size]) for at in range(0, len(rest), size)))
    console.print(out)
    for note in [*(f"[{number}] {note}" for number, note in enumerate(laid.footnotes, start=1)), *laid.notes]:
        console.print(escape(note), highlight=False)


def _packed(fields: Sequence[str]) -> str:
    return ("\n" if any("\n" in field for field in fields) else " / ").join(fields)


def _terminal_box(field: Box, escape: Callable[[str], str]) -> str:
    text = escape(marked(field))
    text = f"[bold]{text}[/]" if field.best else text
    return f"{text}\n[dim]{field.count}[/]" if field.count else text


def _flat(field: Box, mark: str, bold: str) -> str:
    text = field.text + (f" ({field.count})" if field.count else "")
    return (bold.format(text) if field.best else text) + (mark.format(",".join(map(str, field.marks))) if field.marks else "")


def markdown(table: Table) -> str:
    """A pipe table with its footnotes as a list."""
    from tabulate import tabulate

    laid = grid(table)
    rows = [
        [f"*{row}*"] if isinstance(row, str) else [_flat(field, " <sup>{}</sup>", "**{}**") for field in row] for row in laid.rows
    ]
    align = ["left", *["right"] * (len(laid.names) - 1)]
    body = tabulate(rows, laid.names, tablefmt="pipe", disable_numparse=True, colalign=align)
    notes = [f"<sup>{number}</sup> {note}" for number, note in enumerate(laid.footnotes, start=1)]
    return "\n".join([f"**{laid.title}**", "", body, "", *(f"{note}  " for note in [*notes, *laid.notes])]).rstrip() + "\n"


def html(table: Table) -> str:
    """A `<figure>` with a table and its footnotes; no style of its own."""
    laid = grid(table)
    esc = escaping.escape
    out = ["<figure>", f"<figcaption>{esc(laid.title)}</figcaption>", "<table>", "<thead>"]
    for header in laid.headers:
        out.append("<tr>" + "".join(f'<th colspan="{span}">{esc(text)}</th>' for text, span in header) + "</tr>")
    out += ["</thead>", "<tbody>"]
    for row in laid.rows:
        if isinstance(row, str):
            out.append(f'<tr><th colspan="{len(laid.names)}" scope="rowgroup">{esc(row)}</th></tr>')
        else:
            first, *rest = (_html_box(field) for field in row)
            out.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{text}</td>" for text in rest) + "</tr>")
    out += ["</tbody>", "</table>"]
    out += [f"<p><sup>{number}</sup> {esc(note)}</p>" for number, note in enumerate(laid.footnotes, start=1)]
    out += [f"<p>{esc(note)}</p>" for note in laid.notes]
    return "\n".join([*out, "</figure>"]) + "\n"


def _html_box(field: Box) -> str:
    text = escaping.escape(field.text) + (f" <small>{escaping.escape(field.count)}</small>" if field.count else "")
    text = f"<strong>{text}</strong>" if field.best else text
    return text + (f"<sup>{','.join(map(str, field.marks))}</sup>" if field.marks else "")


def values(table: Table) -> list[dict[str, Any]]:
    """One mapping per cell: everything that is known about it, rates in percent."""
    return [_value(table, line, name, metric, cell) for line in table.lines for (name, metric), cell in line.cells.items()]


def _value(table: Table, line: Line, name: str, metric: str, cell: Cell) -> dict[str, Any]:
    return {
        "table": table.layout.id,
        "policy": line.label,
        "kind": line.kind,
        "item": name,
        "metric": metric,
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "k": cell.k,
        "n": cell.n or None,
        "errors": line.errors if line.kind == "measured" else None,
        "best": cell.best,
        "notes": [*line.notes, *cell.notes],
    }


def to_json(table: Table) -> str:
    """`table`, `title`, `source`, `notes` and one object per cell."""
    layout = table.layout
    head = {"table": layout.id, "title": layout.title, "source": layout.source, "notes": list(table.notes)}
    return json.dumps({**head, "cells": values(table)}, indent=2) + "\n"


def to_csv(table: Table) -> str:
    """One line per cell."""
    rows = values(table)
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "notes": "; ".join(row["notes"])} for row in rows)
    return out.getvalue()


FORMATS: dict[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": to_csv,
    "html": html,
    "json": to_json,
}
"""Name -> text; `terminal` is a function of a console."""


def render(table: Table, form: str) -> str:
    """The table in one of `FORMATS`. Raises KeyError for another name."""
    return FORMATS[form](table)


__all__: Sequence[str] = ("FORMATS", "grid", "html", "latex", "markdown", "render", "terminal", "to_csv", "to_json", "values")
