"""A table as LaTeX."""

from __future__ import annotations

from .grid import Box, grid
from .tables import Table

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
