"""A run with its pandas frames, for notebooks and scripts: what `nora_bench.load_run` returns."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from . import summary
from .store.reader import StoredRun, read_run

if TYPE_CHECKING:
    from pandas import DataFrame

NESTED = ("measures", "chunk_status", "action_checks", "features", "seconds")
"""Fields whose entries become columns, `seconds.total`; absent entries are missing values."""


class Run(StoredRun):
    """A stored run, with its episodes, tasks and suites as pandas frames."""

    __slots__ = ()

    def frame(self) -> DataFrame:
        """One row per episode in the order in which they finished, a column per field of its record.

        `success` is nullable: missing where the episode ended in an error, so that `frame.success.mean()` omits it.
        """
        from pandas import DataFrame

        rows = [record.to_json() for record in self.records]
        for row in rows:
            for name in NESTED:
                row.update({f"{name}.{key}": value for key, value in row.pop(name).items()})
        frame = DataFrame(rows)
        for name in ("success", "success_any"):
            if name in frame:
                frame[name] = frame[name].astype("boolean")
        return frame

    def tasks(self) -> DataFrame:
        """One row per suite and task: `k` of `n` episodes succeeded, `mean` with its 95 % interval (fractions)."""
        from pandas import DataFrame

        suites = summary.suites(self)
        return DataFrame(
            [
                {**{name: suite[name] for name in ("suite", "pack", "perturbation")}, **task}
                for suite in suites
                for task in suite["tasks"]
            ]
        )

    def rates(self) -> DataFrame:
        """One row per suite: the mean over its tasks with its 95 % interval (fractions), errors and repeated episodes."""
        from pandas import DataFrame

        return DataFrame(
            [{name: value for name, value in suite.items() if name not in ("tasks", "latency")} for suite in summary.suites(self)]
        )


def load_run(folder: Path | str) -> Run:
    """The run in that folder, read without a lock. Raises StoreError if it is missing or invalid."""
    stored = read_run(folder)
    return Run(**{field.name: getattr(stored, field.name) for field in fields(stored)})
