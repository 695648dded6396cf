"""Layouts of the papers' result tables, read from `layouts.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..envs.errors import UnknownName

WIDOWX = "simpler/widowx"
"""Table of SimplerEnv's WidowX tasks under SIMPLER's own protocol."""


@dataclass(frozen=True, slots=True)
class Column:
    """One measured quantity: a suite, a part of one, a task, or a mean of others. Tables print it as a column or a row."""

    name: str
    label: str = ""
    """Printed name; `name` where empty."""
    group: str = ""
    suite: str = ""
    tasks: tuple[str, ...] = ()
    """Prefixes of task names, averaged with equal weight; empty for the whole suite."""
    n: int = 0
    """Different episodes behind a published cell."""
    task_count: int = 1
    """Tasks of the benchmark behind it."""
    part_count: int = 1
    """Parts of each task (orientations, drawers)."""
    states: int = 0
    """Initial states of each of those tasks, and of each part of one; 0 for trials on a robot."""
    metrics: tuple[str, ...] = ()
    """Metrics that exist for it; empty for all of the table's."""
    mean_of: tuple[str, ...] = ()
    """Names of the columns that this one is the mean of."""
    older_weights: tuple[int, ...] = ()
    """Weights that reproduce some printed averages where the plain mean does not."""


@dataclass(frozen=True, slots=True)
class Metric:
    """An event counted per episode."""

    name: str
    label: str
    better: str
    """`higher` or `lower`."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One table of a paper."""

    id: str
    title: str
    source: str
    models: str
    """Whether policies are `rows` or `columns`."""
    header: str
    columns: tuple[Column, ...]
    metrics: tuple[Metric, ...]
    n_source: str
    """Source of the columns' `n`."""
    delta: Mapping[str, str] = field(default_factory=dict)
    """`name`, `model`, `base`: the printed row of differences between two models."""
    column_delta: Mapping[str, str] = field(default_factory=dict)
    """`name`, `column`, `base`: printed improvements of every model over one model, in one column."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """Model -> heading printed above it."""
    protocol: str = ""
    """Evaluation protocol of its published rates, where the benchmark has several that are not comparable: runs under others are
    rejected. `none` where the published protocols are unknown, so that no run fits; empty for any."""

    def column(self, name: str) -> Column:
        """The column of that name or label. Raises UnknownName."""
        for column in self.columns:
            if name.casefold() in (column.name.casefold(), column.label.casefold()):
                return column
        raise UnknownName(f"column or task of table {self.id}", name, [column.name for column in self.columns])

    def metric(self, name: str) -> Metric:
        """The metric of that name. Raises UnknownName."""
        by_name = {metric.name: metric for metric in self.metrics}
        if name not in by_name:
            raise UnknownName("metric", name, by_name)
        return by_name[name]

    def components(self, column: Column) -> tuple[Column, ...]:
        """The columns that a mean is taken over, or the column itself."""
        return tuple(self.column(name) for name in column.mean_of) or (column,)

    @property
    def suites(self) -> tuple[str, ...]:
        """Suites behind its cells, each once."""
        return tuple(dict.fromkeys(column.suite for column in self.columns if column.suite))

    def has(self, column: Column, metric: Metric) -> bool:
        """Whether that metric exists for that column."""
        return not column.metrics or metric.name in column.metrics


@cache
def _all() -> dict[str, Layout]:
    data = tomllib.loads(Path(__file__).with_name("layouts.toml").read_text(encoding="utf-8"))
    columns = {name: tuple(_column(values) for values in rows) for name, rows in data.pop("columns").items()}
    metrics = {name: Metric(name, **values) for name, values in data.pop("metrics").items()}
    return {name: _layout(name, values, columns, metrics) for name, values in data.items()}


def _column(values: Mapping[str, Any]) -> Column:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    column = Column(**fields)
    return replace(column, label=column.label or column.name)


def _layout(id: str, values: dict[str, Any], columns: Mapping[str, tuple[Column, ...]], metrics: Mapping[str, Metric]) -> Layout:
    skip = values.pop("skip", ())
    kept = [column for column in columns[values.pop("columns")] if column.name not in skip]
    parts = tuple(column.name for column in kept if column.suite)
    kept = [replace(column, mean_of=parts) if column.mean_of == ("*",) else column for column in kept]
    if values["models"] == "columns":  # one row per task, named after it
        kept = [replace(column, tasks=(column.name,)) if column.suite else column for column in kept]
    chosen = tuple(metrics[name] for name in values.pop("metrics", ["success"]))
    return Layout(id=id, columns=tuple(kept), metrics=chosen, **values)


def ids() -> tuple[str, ...]:
    """All table IDs."""
    return tuple(_all())


def get(id: str) -> Layout:
    """The layout of that table. Raises UnknownName."""
    if id not in _all():
        raise UnknownName("table", id, _all())
    return _all()[id]


def fitting(suites: set[str], protocols: Collection[str] = ()) -> Layout:
    """The table with most of those suites; NORA-1.5's Table 2 if no table has any.

    Args:
        suites: names.
        protocols: of the runs; decide between tables that differ in their protocol.
    """
    order = ("nora15/table2", "nora15/table1", "simpler/place", "nora15/table5", "nora/table1", WIDOWX)
    chosen = max((get(id) for id in order), key=lambda layout: len(suites & set(layout.suites)))
    if not chosen.protocol:
        return chosen
    return next((layout for layout in _all().values() if layout.protocol in protocols), chosen)


def table_of(task_counts: Mapping[str, int]) -> Layout:
    """A table for suites that no paper's table has: one column each (tasks weigh equally) and their mean.

    Args:
        task_counts: suite -> its number of tasks.
    """
    columns = [Column(name, name, suite=name, task_count=tasks) for name, tasks in sorted(task_counts.items())]
    if len(columns) > 1:
        columns.append(Column("all suites", "all suites", mean_of=tuple(column.name for column in columns)))
    return Layout("", "", "", "rows", "Policy", tuple(columns), (Metric("success", "Succ. ↑", "higher"),), "")
