"""Reading a CSV file of known columns, with errors that say what a spreadsheet did to it."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from ..envs.errors import InputError

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "'|'"}
"""Separators that spreadsheets write instead of commas, depending on the locale."""


def read_table(
    path: Path, columns: Sequence[str], required: Collection[str], error: type[InputError] = InputError
) -> list[tuple[int, dict[str, str]]]:
    """Number of the line and column -> text of every row.

    Args:
        path: the file.
        columns: its possible columns.
        required: those that it must have.
        error: class of the error.

    Raises `error` for a file that cannot be read, and for a header or row that does not fit.
    """
    expected = f"it must be a CSV file in UTF-8 whose columns are separated by commas, its first line {','.join(columns)}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path} cannot be read: {problem}; {expected}") from None
    try:
        return _rows(text, columns, required)
    except csv.Error as problem:
        raise error(f"{path} is not a CSV file: {problem}; {expected}") from None
    except InputError as problem:
        raise error(f"{path} {problem}; {expected}") from None


def _rows(text: str, columns: Sequence[str], required: Collection[str]) -> list[tuple[int, dict[str, str]]]:
    lines = text.splitlines()
    header = [name.strip() for name in next(csv.reader(lines[:1]), [])]
    _check_header(header, columns, required)
    reader = csv.reader(lines, strict=True)
    next(reader)
    rows = []
    for cells in reader:
        if len(cells) > len(header):
            raise InputError(
                f"has {len(cells)} values in line {reader.line_num} and {len(header)} columns (a text with a comma needs quotes)"
            )
        if cells:
            rows.append((reader.line_num, dict(zip(header, cells, strict=False))))
    return rows


def _check_header(header: Sequence[str], columns: Sequence[str], required: Collection[str]) -> None:
    """Raises InputError saying what is wrong with a first line; another separator than a comma by its name."""
    if len(header) <= 1:
        first = "".join(header)
        if separator := next((name for mark, name in SEPARATORS.items() if mark in first), ""):
            raise InputError(f"separates its columns by {separator}, not by commas")
        if "," in first:
            raise InputError("has quotes around its whole first line instead of around each name")
    missing, unknown = set(required) - set(header), sorted(set(header) - set(columns))
    twice = sorted({name for name in header if header.count(name) > 1})
    if missing:
        instead = f" (its first line names {', '.join(header)})" if any(header) else ""
        raise InputError(f"lacks the columns {', '.join(sorted(missing))}{instead}")
    if unknown:
        raise InputError(f"has unknown columns {', '.join(unknown)}")
    if twice:
        raise InputError(f"has the columns {', '.join(twice)} twice")
