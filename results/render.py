"""A table as text: terminal, markdown, latex, html for people; csv and json, with every bound, for programs."""

from __future__ import annotations

import csv
import html as escaping
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .tables import Cell, Line, Table

if TYPE_CHECKING:
    from rich.console import Console

MISSING = "—"


@dataclass(frozen=True, slots=True)
class Box:
    """One field of the grid."""

    text: str
    count: str = ""
    """Successes/episodes, for measured cells."""
    marks: tuple[int, ...] = ()
    """Numbers of the footnotes that belong here."""
    best: bool = False


@dataclass(slots=True)
class Grid:
    """A table laid out in rows and columns, its footnotes numbered in reading order."""

    title: str
    headers: list[list[tuple[str, int]]]
    """Header rows of (text, columns spanned)."""
    rows: list[str | list[Box]] = field(default_factory=list)
    """A heading across the table, or the fields of one row."""
    footnotes: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """One flat name per column."""
        spread = [[text for text, span in row for _ in range(span)] for row in self.headers]
        return [" ".join(dict.fromkeys(part for part in column if part)) for column in zip(*spread, strict=True)]

    def box(self, text: str, notes: Iterable[str], **fields: Any) -> Box:
        """A field whose notes become footnotes; equal notes share a number."""
        for note in notes:
            if note not in self.footnotes:
                self.footnotes.append(note)
        return Box(text, marks=tuple(self.footnotes.index(note) + 1 for note in notes), **fields)


def grid(table: Table) -> Grid:
    """The table in its paper's orientation."""
    return _models_as_rows(table) if table.layout.models == "rows" else _models_as_columns(table)


def _cell(grid: Grid, cell: Cell | None) -> Box:
    if cell is None:
        return Box(MISSING)
    count = "" if cell.k is None else f"{cell.k}/{cell.n}"
    text = cell.text
    if cell.low is not None and cell.high is not None:
        text += f" ± {max(cell.value - cell.low, cell.high - cell.value):.1f}"
    return grid.box(text, cell.notes, count=count, best=cell.best)


def _spans(texts: Iterable[str]) -> list[tuple[str, int]]:
    return [(text, len(list(run))) for text, run in groupby(texts)]


def _models_as_rows(table: Table) -> Grid:
    layout = table.layout
    columns = [(item, metric) for item in layout.items for metric in layout.metrics]
    headers = [[(layout.header, 1), *((item.label, 1) for item, _ in columns)]]
    if any(item.group for item, _ in columns):
        headers.insert(0, [("", 1), *_spans(item.group for item, _ in columns)])
    out = Grid(layout.title, headers, notes=table.notes)
    for line in table.lines:
        if line.section:
            out.rows.append(line.section)
        fields = [_cell(out, line.cells.get((item.name, metric.name))) for item, metric in columns]
        out.rows.append([out.box(line.label, line.notes), *fields])
    return out


def _models_as_columns(table: Table) -> Grid:
    layout = table.layout
    columns = [(line, metric) for line in table.lines for metric in layout.metrics]
    out = Grid(layout.title, [], notes=table.notes)
    labels = {id(line): _marked(out.box(line.label, line.notes)) for line in table.lines}
    out.headers = [[(layout.header, 1), *((labels[id(line)], len(layout.metrics)) for line in table.lines)]]
    if len(layout.metrics) > 1:
        out.headers.append([("", 1), *((metric.label, 1) for _, metric in columns)])
    last = ""
    for name, label, group in _items(table):
        if group and group != last:
            out.rows.append(group)
        last = group
        fields = [_cell(out, line.cells.get((name, metric.name))) for line, metric in columns]
        out.rows.append([Box(label), *fields])
    return out


def _items(table: Table) -> list[tuple[str, str, str]]:
    """Name, label and group of each row where policies are columns."""
    layout = table.layout
    rows = [(item.name, item.label, item.group) for item in layout.items]
    if layout.item_delta:
        rows.append((layout.item_delta["name"], layout.item_delta["name"], ""))
    return rows


def _marked(box: Box, form: str = " [{}]") -> str:
    return box.text + (form.format(",".join(map(str, box.marks))) if box.marks else "")


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
    text = escape(_marked(field))
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


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "Δ": r"$\Delta$",
        "π": r"$\pi$",
        "τ": r"$\tau$",
        "—": "---",
        "·": r"$\cdot$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "≥": r"$\geq$",
        "−": "$-$",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "[": "{[}",
        "]": "{]}",
    }
)


def latex(table: Table) -> str:
    """A table for `\\usepackage{booktabs}`."""
    laid = grid(table)
    width = len(laid.names)
    size = r"\scriptsize\setlength{\tabcolsep}{2pt}" if width > 8 else r"\small"
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(laid.title)}}}", size]
    lines += [rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule"]
    for header in laid.headers:
        lines.append(
            " & ".join(_tex(text) if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{_tex(text)}}}" for text, span in header)
            + r" \\"
        )
    lines.append(r"\midrule")
    for row in laid.rows:
        if isinstance(row, str):
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{_tex(row)}}}}} \\")
        else:
            lines.append(" & ".join(_tex_box(field) for field in row) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [rf"$^{{{number}}}$ {_tex(note)}" for number, note in enumerate(laid.footnotes, start=1)]
    lines += [r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize"]
    lines += [rf"{note}\par" for note in [*notes, *map(_tex, laid.notes)]]
    lines += [r"\end{minipage}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return text.translate(_LATEX)


def _tex_box(field: Box) -> str:
    text = _tex(field.text) + (rf" {{\scriptsize {_tex(field.count)}}}" if field.count else "")
    text = rf"\textbf{{{text}}}" if field.best else text
    return text + (f"$^{{{','.join(map(str, field.marks))}}}$" if field.marks else "")


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
    return json.dumps({**head, "cells": values(table)}, indent=2, ensure_ascii=False) + "\n"


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
