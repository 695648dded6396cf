"""Trace of a table cell: the episodes that it counts and omits, or the paper that printed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...envs.errors import InputError, UnknownName
from ..grouping import Group, component_columns, episodes, metric_outcome, uncertain
from ..layouts import Column, Layout
from ..store.reader import StoredRun
from ..store.records import EpisodeRecord
from . import published
from .model import Cell
from .rows import measured_rows


@dataclass(frozen=True, slots=True)
class CellTrace:
    """A cell with its episodes or its source."""

    policy: str
    column: str
    cell: Cell
    counted: tuple[EpisodeRecord, ...] = ()
    left_out: tuple[tuple[EpisodeRecord, str], ...] = ()
    """Episodes with an uncertain or unknown outcome, each with the reason."""
    source: str = ""
    """For a published cell, the place in the paper."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "policy": self.policy,
            "item": self.column,
            "value": self.cell.value,
            "upper": self.cell.upper,
            "low": self.cell.low,
            "high": self.cell.high,
            "k": self.cell.k,
            "n": self.cell.n,
            "source": self.source,
            "notes": list(self.cell.notes),
            "counted": [record.key for record in self.counted],
            "left_out": [{"key": record.key, "reason": reason} for record, reason in self.left_out],
        }


def trace(layout: Layout, run: StoredRun, name: str, metric: str = "success") -> list[CellTrace]:
    """The cells called `policy/column` (`NORA-1.5/Goal`): measured ones of the run first, the published one after.

    Raises UnknownName, and InputError for another form of name.
    """
    policy, column = _split(layout, name)
    key = (column.name, metric)
    found = [
        _measured(layout, group, column, metric, line.cells[key])
        for line, group in measured_rows(layout, run)
        if _is(group, policy) and key in line.cells
    ]
    printed = published.cells(layout).get((_model(layout, policy), column.name, metric))
    if printed is not None:
        cell = Cell(printed.text, printed.value, printed.notes)
        found.append(CellTrace(_model(layout, policy), column.name, cell, source=printed.source))
    if not found:
        known = [*dict.fromkeys(group.key.policy for _, group in measured_rows(layout, run)), *published.models(layout)]
        raise UnknownName(f"cell of table {layout.id}", name, known, f"its rows: {', '.join(known)}")
    return found


def _split(layout: Layout, name: str) -> tuple[str, Column]:
    """Policy and column; both may contain slashes."""
    unknown = InputError(f"{name!r} is not of the form policy/column, such as 'NORA-1.5/Goal'", option="--cell", value=name)
    for at in (at for at, sign in enumerate(name) if sign == "/"):
        try:
            return name[:at].strip(), layout.column(name[at + 1 :].strip())
        except UnknownName as error:
            unknown = error
    raise unknown


def _is(group: Group, policy: str) -> bool:
    return policy.casefold() in (group.key.policy.casefold(), f"{group.key.policy} · {group.run.name}".casefold())


def _model(layout: Layout, policy: str) -> str:
    return next((name for name in published.models(layout) if name.casefold() == policy.casefold()), policy)


def _measured(layout: Layout, group: Group, column: Column, metric: str, cell: Cell) -> CellTrace:
    counted: list[EpisodeRecord] = []
    left_out: list[tuple[EpisodeRecord, str]] = []
    for part in component_columns(layout, column, metric):
        for record in episodes(group, part):
            if metric_outcome(record, metric) is not None and not uncertain(record):
                counted.append(record)
            else:
                left_out.append((record, _reason(record, metric)))
    return CellTrace(group.key.policy, column.name, cell, tuple(counted), tuple(left_out))


def _reason(record: EpisodeRecord, metric: str) -> str:
    if record.success is None:
        return f"ended in an error: {record.error}; a failure in the lower bound, a success in the upper"
    if uncertain(record):
        return f"lost by the policy {record.policy_losses} times before: a failure in the lower bound, a success in the upper"
    return f"{metric} was not recorded"
