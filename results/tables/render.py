"""Text formats of a table: terminal, markdown, latex and html for people; csv and json, with every bound, for programs."""

from __future__ import annotations

import csv
import html as escaping
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .grid import Grid, GridCell, blocks, grid, marked
from .latex import latex
from .model import Cell, Row, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable


def terminal(table: Table, console: Console) -> None:
    """Print the table, fitted to the console: names are wrapped, never cut, and excess columns follow in further blocks."""
    from rich.markup import escape

    laid = grid(table)
    stacked = not _fits(laid, console.width)
    width = {column: max(map(len, _column(laid, column, stacked))) for column in range(1, len(laid.names))}
    room = console.width - 2
    longest = max((len(row[0].text) + MARK for row in laid.rows if not isinstance(row, str)), default=0)
    left = room - sum(width.values()) - len(width)
    label = min(longest, left if left >= LABEL else room // 3)
    split = blocks(laid, lambda columns: label + sum(width[column] + 1 for column in columns), room)
    for number, columns in enumerate(split):
        console.print(_block(laid.part(columns), label, stacked=stacked, title=laid.title if number == 0 else None))
    for note in [*(f"[{number}] {note}" for number, note in enumerate(laid.footnotes, start=1)), *laid.notes]:
        console.print(escape(note), highlight=False)


MARK = 5
"""Approximate width of a row label's footnote, in characters."""
LABEL = 15
"""Least width of row labels, in characters."""


def _fits(laid: Grid, width: int) -> bool:
    """Whether the table fits with intervals on the lines of their rates."""
    label = max((len(row[0].text) + MARK for row in laid.rows if not isinstance(row, str)), default=0)
    return min(label, width // 3) + sum(max(map(len, _column(laid, c, False))) + 1 for c in range(1, len(laid.names))) <= width


def _column(laid: Grid, column: int, stacked: bool) -> Iterator[str]:
    """The lines of a column: the words of its header, and its cells."""
    for names in _first(laid):
        yield from names[column].split() or [""]
    for row in laid.rows:
        if not isinstance(row, str):
            yield from _lines(row[column], stacked)


def _lines(field: GridCell, stacked: bool) -> list[str]:
    marks = f" [{','.join(map(str, field.marks))}]" if field.marks else ""
    line = " ".join(filter(None, (field.text, field.interval)))
    first, *rest = [field.text, field.interval.replace(", ", ","), field.count] if stacked else [line, field.count]
    return [first + marks, *filter(None, rest)]


def _block(laid: Grid, label: int, *, stacked: bool, title: str | None) -> RichTable:
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    out = RichTable(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for number, names in enumerate(zip(*_first(laid), strict=True)):
        name = "\n".join(dict.fromkeys(filter(None, names)))
        out.add_column(escape(name), justify="right" if number else "left", max_width=None if number else label, overflow="fold")
    for row in laid.rows:
        if isinstance(row, str):
            out.add_row(f"[italic]{escape(row)}[/]")
            continue
        first, *rest = row
        out.add_row(escape(marked(first)), *(_styled(_lines(field, stacked), field, escape) for field in rest))
    return out


def _first(laid: Grid) -> list[list[str]]:
    """The header rows with one name per column; a name that spans several is over the first."""
    return [[name for text, span in row for name in [text, *[""] * (span - 1)]] for row in laid.headers]


def _styled(lines: Sequence[str], field: GridCell, escape: Callable[[str], str]) -> str:
    first, *rest = map(escape, lines)
    return "\n".join([f"[bold]{first}[/]" if field.best else first, *(f"[dim]{line}[/]" for line in rest)])


def _flat(field: GridCell, mark: str, bold: str) -> str:
    text = " ".join(filter(None, (field.text, field.interval, f"({field.count})" if field.count else "")))
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
    """A `<figure>` with a table and its footnotes, without styles."""
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
            first, *rest = (_html_cell(field) for field in row)
            out.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{text}</td>" for text in rest) + "</tr>")
    out += ["</tbody>", "</table>"]
    out += [f"<p><sup>{number}</sup> {esc(note)}</p>" for number, note in enumerate(laid.footnotes, start=1)]
    out += [f"<p>{esc(note)}</p>" for note in laid.notes]
    return "\n".join([*out, "</figure>"]) + "\n"


def _html_cell(field: GridCell) -> str:
    small = (f"<small>{escaping.escape(text)}</small>" for text in (field.interval, field.count) if text)
    text = " ".join([escaping.escape(field.text), *small])
    text = f"<strong>{text}</strong>" if field.best else text
    return text + (f"<sup>{','.join(map(str, field.marks))}</sup>" if field.marks else "")


def values(table: Table) -> list[dict[str, Any]]:
    """One mapping per cell with all of its data; rates in percent."""
    return [_value(table, line, name, metric, cell) for line in table.rows for (name, metric), cell in line.cells.items()]


def _value(table: Table, line: Row, name: str, metric: str, cell: Cell) -> dict[str, Any]:
    return {
        "table": table.layout.id,
        "policy": line.label,
        "kind": line.kind,
        "item": name,
        "metric": metric,
        "text": cell.text,
        "value": _rounded(cell.value),
        "upper": _rounded(cell.upper),
        "low": _rounded(cell.low),
        "high": _rounded(cell.high),
        "k": cell.k,
        "n": cell.n or None,
        "effective": cell.effective or None,
        "states": cell.states or None,
        "p": cell.p,
        "uncertain": cell.uncertain if line.kind == "measured" else None,
        "errors": line.errors if line.kind == "measured" else None,
        "part": line.part,
        "best": cell.best,
        "provenance": dict(line.provenance),
        "notes": [*line.notes, *cell.notes],
    }


def _rounded(percent: float | None) -> float | None:
    """Rounded to hide binary noise: 92.65, not 92.64999999999996."""
    return None if percent is None else round(percent, 6)


def to_json(table: Table) -> str:
    """`table`, `title`, `source`, `notes` and one object per cell."""
    layout = table.layout
    head = {"table": layout.id, "title": layout.title, "source": layout.source, "notes": list(table.notes)}
    return json.dumps({**head, "cells": values(table)}, indent=2) + "\n"


FIELDS = (
    *("table", "policy", "kind", "item", "metric", "text", "value", "upper", "low", "high", "k", "n", "effective", "states", "p"),
    *("uncertain", "errors", "part", "best", "provenance", "notes"),
)
"""Columns of the csv form: the keys of `values`."""


def to_csv(table: Table) -> str:
    """One line per cell."""
    rows = values(table)
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        provenance = json.dumps(row["provenance"], ensure_ascii=False) if row["provenance"] else ""
        writer.writerow({**row, "provenance": provenance, "notes": "; ".join(row["notes"])})
    return out.getvalue()


FORMATS: dict[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": to_csv,
    "html": html,
    "json": to_json,
}
"""Format -> renderer; `terminal` takes a console instead."""


def render(table: Table, form: str) -> str:
    """The table in one of `FORMATS`. Raises KeyError for another name."""
    return FORMATS[form](table)
