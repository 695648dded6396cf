"""Other tasks that can be done in a task's scene, with their goals in the scene's names: `other_goals.json`.

Made by `envs/libero/sim/freeze_other_goals.py`, which has the rules.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

Term = Sequence[str]
"""Predicate and arguments, as in BDDL files, in lower case."""


@dataclass(frozen=True, slots=True)
class OtherGoal:
    """A task and its goal in another task's scene."""

    suite: str
    task_id: int
    goal: Sequence[Term]


@cache
def _table() -> dict[str, list[dict]]:
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("other_goals.json").read_text(encoding="utf-8"))


def other_goals(suite: str, task_id: int) -> tuple[OtherGoal, ...]:
    """The other tasks that can be done in the scene of a task."""
    return tuple(OtherGoal(row["suite"], row["task"], row["goal"]) for row in _table()[f"{suite}/{task_id}"])
