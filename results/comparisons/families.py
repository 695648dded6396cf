"""Families of hypotheses when runs are compared: the columns of one table, with the table's own weights.

`table`, `compare`, the report and rankings all use them, so that one pair of runs has one verdict per column. Suites in no table
of the papers form a table of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..grouping import Group, component_columns, episodes, whole_tasks
from ..layouts import Column, Layout, Metric, fitting, table_of


def families(groups: Sequence[Group]) -> list[Layout]:
    """The tables with the suites that all groups evaluated; each is one family of hypotheses."""
    left = set.intersection(*(set(group.suites) for group in groups))
    found = []
    while left:
        layout = fitting(left)
        if not left & set(layout.suites):
            layout = table_of({suite: _tasks(suite, groups) for suite in left})
        found.append(layout)
        left -= set(layout.suites)
    return found


def _tasks(suite: str, groups: Sequence[Group]) -> int:
    return len({record.task_id for group in groups for record in group.suites.get(suite, ())})


def filled(layout: Layout, groups: Sequence[Group], metric: Metric) -> list[Column]:
    """The columns that all groups have evaluated in part; a mean only if all have evaluated every task behind it."""
    return [
        column
        for column in layout.columns
        if layout.has(column, metric) and all(_fills(layout, g, column, metric) for g in groups)
    ]


def _fills(layout: Layout, group: Group, column: Column, metric: Metric) -> bool:
    parts = component_columns(layout, column, metric.name)
    if column.mean_of:
        return bool(parts) and all(whole_tasks(group, part) for part in parts)
    return bool(parts) and bool(episodes(group, column))


def overall(layout: Layout, groups: Sequence[Group]) -> Column | None:
    """The mean over all columns that the groups fill: the table's own average if it is that, else a new column.

    None if they fill no column of successes.
    """
    metric = next((metric for metric in layout.metrics if metric.name == "success"), None)
    found = filled(layout, groups, metric) if metric else []
    single = [column for column in found if not column.mean_of]
    if len(single) < 2:
        return next(iter(single), None)
    names = tuple(column.name for column in single)
    own = next((column for column in found if column.mean_of and set(column.mean_of) == set(names)), None)
    return own or Column("mean of " + ", ".join(names), "mean of " + ", ".join(column.label for column in single), mean_of=names)


def overall_column(groups: Sequence[Group]) -> tuple[Layout, Column]:
    """The table that covers most of the groups' common suites, and the mean over its columns that they fill.

    Takes groups of `pairing.common_scenes`. Raises ValueError if they have no scene in common.
    """
    if all(group.records for group in groups):
        for layout in families(groups):
            if (column := overall(layout, groups)) is not None:
                return layout, column
    names = ", ".join(group.run.name for group in groups)
    raise ValueError(f"{names} have no scene in common: run them with the same --suite, --tasks, --init-states and --seeds")
