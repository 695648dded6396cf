"""The table of other tasks that can be done in a task's scene, from LIBERO's task files:

    python -m nora_bench.envs.libero.sim.freeze_other_goals envs/libero/other_goals.json

A task B can be done in the scene of a task A where

- both are of one suite, or one of libero_10 and the other of libero_90;
- the fixtures are the same, and the regions of B's goal are defined alike;
- each object of B's goal has one counterpart in A: the only one of its category in both, or, where the objects are the same, the
  one that starts at the same place;
- B's goal does not hold at A's start, and neither goal contains the other;
- the instructions differ, and no task before B has the same goal in this scene.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..tasks import load_tasks
from .install import task_file
from .problem import Problem, Term, read_problem

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
TOGETHER = {"libero_10": ("libero_10", "libero_90"), "libero_90": ("libero_90", "libero_10")}
"""Suites whose tasks share scenes with those of another one."""


def goal_in(scene: Problem, other: Problem) -> tuple[Term, ...] | None:
    """The other task's goal in the names of the scene; None where it cannot be reached or distinguished there."""
    if (scene.name, scene.fixtures) != (other.name, other.fixtures):
        return None
    names: dict[str, str] = {}
    for name in {name for term in other.goal for name in term[1:]}:
        owner = next((known for known in other.objects if name == known or name.startswith(f"{known}_")), "")
        if owner:
            counterpart = _counterpart(scene, other, owner)
            if not counterpart:
                return None
            names[name] = counterpart + name.removeprefix(owner)
        elif name in other.regions and other.regions[name] != scene.regions.get(name):
            return None
    goal = tuple((term[0], *(names.get(name, name) for name in term[1:])) for term in other.goal)
    if set(goal) <= set(scene.goal) or set(scene.goal) <= set(goal) or all(_holds(term, scene.init) for term in goal):
        return None
    return goal


def _counterpart(scene: Problem, other: Problem, name: str) -> str:
    """The scene's object for one of another task's goal; empty where none or several fit."""
    category = other.objects[name]
    same = [own for own, kind in scene.objects.items() if kind == category]
    if len(same) == other.alike(name) == 1:
        return same[0]
    if scene.objects != other.objects:
        return ""
    place = next((term[0::2] for term in other.init if term[1:2] == (name,)), None)
    there = [own for own in same if any(term[0::2] == place and term[1] == own for term in scene.init if len(term) == 3)]
    return there[0] if len(there) == 1 else ""


def _holds(term: Term, init: frozenset[Term]) -> bool:
    """Whether a goal's term holds at the start; drawers and doors are closed and stoves off where the file does not say."""
    opposite = {"close": "open", "turnoff": "turnon"}.get(term[0])
    return (opposite, *term[1:]) not in init if opposite else term in init


def table() -> str:
    """The contents of the file."""
    problems = {
        (suite, task.id): read_problem(task_file(suite, task.name).read_text(encoding="utf-8"))
        for suite in SUITES
        for task in load_tasks(suite)
    }
    words = {(suite, task.id): task.instruction.casefold() for suite in SUITES for task in load_tasks(suite)}
    lines = []
    for (suite, task), scene in problems.items():
        found: dict[frozenset[Term], str] = {}
        for (other, number), problem in problems.items():
            candidate = other in TOGETHER.get(suite, (suite,)) and words[other, number] != words[suite, task]
            if candidate and (goal := goal_in(scene, problem)):
                found.setdefault(frozenset(goal), json.dumps({"suite": other, "task": number, "goal": goal}))
        entries = ",\n".join(f"    {row}" for row in found.values())
        lines.append(f'  "{suite}/{task}": [\n{entries}\n  ]')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table(), encoding="utf-8")
