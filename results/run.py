"""A run with its pandas frames, for notebooks and scripts: what `nora_bench.load_run` returns."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from .store.reader import StoredRun, read_run

if TYPE_CHECKING:
    from pandas import DataFrame


class Run(StoredRun):
    """A stored run, with its episodes, tasks and suites as pandas frames."""

    __slots__ = ()

    def frame(self) -> DataFrame:
        """One row per episode (`results.dataframes.episodes`)."""
        from .dataframes import episodes

        return episodes(self)

    def tasks(self) -> DataFrame:
        """One row per task: success rate and its interval (`results.dataframes.tasks`)."""
        from .dataframes import tasks

        return tasks(self)

    def rates(self) -> DataFrame:
        """One row per suite: mean over tasks and its interval (`results.dataframes.suites`)."""
        from .dataframes import suites

        return suites(self)


def load_run(folder: Path | str) -> Run:
    """The run in that folder, read without a lock. Raises StoreError if it is missing or invalid."""
    stored = read_run(folder)
    return Run(**{field.name: getattr(stored, field.name) for field in fields(stored)})
