"""A run as pandas frames: one row per episode, one row per task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import summary

if TYPE_CHECKING:
    from pandas import DataFrame

    from .store.reader import StoredRun

NESTED = ("measures", "chunk_status", "action_checks", "seconds")
"""Fields whose entries become columns, `seconds.total`; absent entries are missing values."""


def episodes(run: StoredRun) -> DataFrame:
    """One row per episode in the order in which they finished, a column per field of its record.

    `success` is nullable: missing where the episode ended in an error, so that `frame.success.mean()` omits it.
    """
    from pandas import DataFrame

    rows = [record.to_json() for record in run.records]
    for row in rows:
        for name in NESTED:
            row.update({f"{name}.{key}": value for key, value in row.pop(name).items()})
    frame = DataFrame(rows)
    for name in ("success", "success_any"):
        if name in frame:
            frame[name] = frame[name].astype("boolean")
    return frame


def tasks(run: StoredRun) -> DataFrame:
    """One row per suite and task: `k` of `n` episodes succeeded, `mean` with its 95 % interval `low` to `high` (fractions)."""
    from pandas import DataFrame

    return DataFrame([_row(suite, task) for suite in summary.suites(run) for task in suite["tasks"]])


def suites(run: StoredRun) -> DataFrame:
    """One row per suite: the mean over its tasks with its 95 % interval (fractions), errors and repeated episodes."""
    from pandas import DataFrame

    return DataFrame([{name: value for name, value in suite.items() if name != "tasks"} for suite in summary.suites(run)])


def _row(suite: dict, task: dict) -> dict:
    return {"suite": suite["suite"], "pack": suite["pack"], **task}
