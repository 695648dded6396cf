"""A table as LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from .grid import Grid, GridCell, blocks, grid
from .model import Table

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


ROOM = 120
"""Characters of a line, in the small print that tables are set in; wider tables are set in several blocks."""
LABEL = 26
"""Characters of a row label's line."""
NOTE = 100
"""Characters of a note's line."""
PAGE = 44
"""Lines of a float; longer tables and notes continue in another."""
T = TypeVar("T")


def latex(table: Table) -> str:
    r"""A table for `\usepackage{booktabs,graphicx}` that fits the page, whatever stands in it.

    Row labels are wrapped, columns and rows that do not fit follow in another float, and what is still too wide is scaled down.
    """
    laid = grid(table)
    width = {column: 1 + max(len(line) for line in _column(laid, column)) for column in range(1, len(laid.names))}
    split = blocks(laid, lambda columns: LABEL + sum(width[column] for column in columns), ROOM)
    notes = [rf"$^{{{number}}}$ {_tex(note)}" for number, note in enumerate(laid.footnotes, start=1)]
    notes = [rf"{note}\par" for note in [*notes, *map(_tex, laid.notes)]]
    below = [_small(part) for part in _pages(notes, lambda note: 1 + len(note) // NOTE)]
    parts = [_fitted(_tabular(page)) for columns in split for page in _row_pages(laid.part(columns))]
    floats = [[*parts[0], *below[0]]] if len(parts) == len(below) == 1 else [*parts, *below]
    return "\n".join(line for number, lines in enumerate(floats) for line in _float(lines, laid.title, number)) + "\n"


def _small(notes: Sequence[str]) -> list[str]:
    """Notes below a table."""
    return [r"\par\smallskip\begin{minipage}{\linewidth}\scriptsize\sloppy\raggedright", *notes, r"\end{minipage}"]


def _row_pages(laid: Grid) -> Iterator[Grid]:
    """The rows in parts that fit on a page each."""
    for rows in _pages(laid.rows, _height):
        yield replace(laid, rows=rows)


def _height(row: str | list[GridCell]) -> int:
    """Lines of a row."""
    if isinstance(row, str):
        return 1
    return 1 + len(row[0].text) // LABEL + any(cell.interval for cell in row) + any(cell.count for cell in row)


def _pages(items: Sequence[T], height: Callable[[T], int]) -> list[list[T]]:
    """Consecutive parts of at most `PAGE` lines, at least one."""
    pages, lines = [[]], 0
    for item in items:
        if pages[-1] and lines + height(item) > PAGE:
            pages.append([])
            lines = 0
        pages[-1].append(item)
        lines += height(item)
    return pages


def _float(lines: Sequence[str], title: str, number: int) -> list[str]:
    """One float; a table of several blocks takes one for each and one for its notes, so that none is higher than a page."""
    caption = _tex(f"{title} (continued)" if number else title)
    size = r"\scriptsize\setlength{\tabcolsep}{3pt}"
    return [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", size, *lines, r"\end{table}"]


def _fitted(tabular: Sequence[str]) -> list[str]:
    """LaTeX that sets a tabular as it is where it fits the line, and scaled to the line where it does not."""
    return [
        r"\par\medskip\setbox0=\hbox{%",
        *tabular,
        r"}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\box0}\else\box0\fi",
    ]


def _tabular(laid: Grid) -> list[str]:
    width = len(laid.names)
    lines = [rf"\begin{{tabular}}{{p{{0.26\linewidth}}{'r' * (width - 1)}}}", r"\toprule"]
    for header in laid.headers:
        lines.append(
            " & ".join(_tex(text) if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{_tex(text)}}}" for text, span in header)
            + r" \\"
        )
    lines.append(r"\midrule")
    for row in laid.rows:
        if isinstance(row, str):
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{_tex(row)}}}}} \\")
            continue
        label, *fields = row
        lines.append(" & ".join([rf"\raggedright {_tex_cell(label)}", *map(_tex_cell, fields)]) + r" \\")
        for below in ([field.interval for field in fields], [field.count for field in fields]):
            if any(below):
                lines.append(" & ".join(["", *(rf"{{\tiny {_tex(text)}}}" if text else "" for text in below)]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}%"]


def _column(laid: Grid, column: int) -> Iterator[str]:
    """The texts of a column, as far as they are set in it alone."""
    for row in laid.headers:
        spread = [(text, span) for text, span in row for _ in range(span)]
        text, span = spread[column]
        if span == 1:
            yield text
    for row in laid.rows:
        if not isinstance(row, str):
            yield from (row[column].text, row[column].interval, row[column].count)


def _tex(text: str) -> str:
    return text.translate(_LATEX)


def _tex_cell(field: GridCell) -> str:
    text = rf"\textbf{{{_tex(field.text)}}}" if field.best else _tex(field.text)
    return text + (f"$^{{{','.join(map(str, field.marks))}}}$" if field.marks else "")
