"""The papers' own numbers, with checks of their averages and differences.

Transcribed from the papers into `published/*.csv`, one line per printed cell, digits as printed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..layouts import Column, Layout, Metric

ROUNDING = 0.1
"""Rounding tolerance between a printed mean and the mean of its printed parts: half a digit of each."""


@dataclass(frozen=True, slots=True)
class PublishedCell:
    """One cell of a paper's table."""

    text: str
    """Digits as printed."""
    source: str
    notes: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The number, in percent."""
        return float(self.text)


Cells = dict[tuple[str, str, str], PublishedCell]
"""(model, column, metric) -> cell."""


@cache
def cells(layout: Layout) -> Cells:
    """All printed cells of a table, each with notes on inconsistencies."""
    raw = dict(_read(layout))
    return {key: PublishedCell(cell.text, cell.source, (*cell.notes, *_audit(layout, raw, key))) for key, cell in raw.items()}


def models(layout: Layout) -> tuple[str, ...]:
    """The table's policies in printed order, without differences."""
    names = dict.fromkeys(model for model, _, _ in cells(layout))
    return tuple(name for name in names if name != layout.delta.get("name"))


def _read(layout: Layout) -> Iterator[tuple[tuple[str, str, str], PublishedCell]]:
    path = Path(__file__).parents[1] / "published" / (layout.id.replace("/", "-") + ".csv")
    for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        names = (line["row"], line["column"]) if layout.models == "rows" else (line["column"], line["row"])
        own = (line["source"],) if line["source"] != layout.source else ()
        notes = (*own, line["notes"]) if line["notes"] else own
        yield (*names, line["metric"]), PublishedCell(line["value"], line["source"], notes)


def _audit(layout: Layout, raw: Cells, key: tuple[str, str, str]) -> Iterator[str]:
    """A note if a printed average or difference does not follow from its printed parts."""
    model, name, metric = key
    if model == layout.delta.get("name"):
        yield from _audit_delta(raw, key, (layout.delta["model"], name), (layout.delta["base"], name), 1)
    elif name == layout.column_delta.get("name"):
        column = layout.column_delta["column"]
        sign = next(-1 if m.better == "lower" else 1 for m in layout.metrics if m.name == metric)
        yield from _audit_delta(raw, key, (model, column), (layout.column_delta["base"], column), sign)
    elif layout.column(name).mean_of:
        yield from _audit_mean(layout, raw, key)


def _audit_delta(raw: Cells, key: tuple[str, str, str], of: tuple[str, str], base: tuple[str, str], sign: int) -> Iterator[str]:
    metric = key[2]
    minuend, subtrahend = raw[*of, metric], raw[*base, metric]
    recomputed = sign * (minuend.value - subtrahend.value)
    decimals = len(raw[key].text.partition(".")[2])
    if abs(recomputed - raw[key].value) > 0.049:
        yield f"printed {raw[key].text}; {minuend.text} against {subtrahend.text} is {recomputed:.{decimals}f}"


def _audit_mean(layout: Layout, raw: Cells, key: tuple[str, str, str]) -> Iterator[str]:
    model, name, metric = key
    column, printed = layout.column(name), raw[key]
    parts = [raw[model, part.name, metric].value for part in layout.components(column) if (model, part.name, metric) in raw]
    if len(parts) < len(layout.components(column)):
        return
    mean = sum(parts) / len(parts)
    if abs(mean - printed.value) <= ROUNDING + 1e-9:
        return
    note = f"printed {printed.text}; the mean of its {len(parts)} parts is {mean:.2f}"
    weights = column.older_weights
    if weights and len(weights) == len(parts):
        weighted = sum(w * p for w, p in zip(weights, parts, strict=True)) / sum(weights)
        if abs(weighted - printed.value) <= ROUNDING + 1e-9:
            note += f" (weighted {':'.join(map(str, weights))}, as six sub-tasks would be, it is {weighted:.2f})"
    yield note


def episodes(layout: Layout, column: Column, metric: Metric) -> int:
    """Different episodes behind a published cell; 0 where the metric does not exist."""
    return sum(part.n for part in layout.components(column) if layout.has(part, metric))
