"""Tasks of the LIBERO suites: names, instructions, number of initial states."""

import json
from functools import cache
from importlib.resources import files

from ..base import Task
from .fresh_states import fresh_count

INIT_STATES = 50
"""Stored initial states per task (`.pruned_init`)."""


TITLES = {
    "libero_spatial": "Spatial",
    "libero_object": "Object",
    "libero_goal": "Goal",
    "libero_10": "Long",
    "libero_90": "LIBERO-90",
}


@cache
def _table() -> dict[str, list[dict]]:
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("tasks.json").read_text(encoding="utf-8"))


def load_tasks(suite: str) -> tuple[Task, ...]:
    """The tasks of one LIBERO suite in the benchmark's default order (`task_order_index` 0)."""
    return tuple(
        Task(id=i, init_states=INIT_STATES, fresh_states=fresh_count(suite, i), **row) for i, row in enumerate(_table()[suite])
    )
