"""Markdown tables that are readable as plain text, too."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80
"""Columns of a terminal, which the pages of `reproduce findings` fit in."""


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are padded to one width."""
    widths = [max(3, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return [f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines]
