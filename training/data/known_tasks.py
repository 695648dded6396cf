"""Which of LIBERO's tasks and suites a data set of others is of, told by names and instructions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from ...envs import suites

LIBERO = (*suites.LIBERO, "libero_90")


def instruction_of(task: str) -> str | None:
    """The instruction of LIBERO's task of that name; None where there is none."""
    return next((_instructions(suite)[task] for suite in LIBERO if task in _instructions(suite)), None)


@cache
def _instructions(suite: str) -> dict[str, str]:
    """Task -> instruction."""
    return {task.name: task.instruction for task in suites.get(suite).tasks}


def is_task(suite: str, task: str) -> bool:
    """Whether LIBERO has that suite and task."""
    return suite in LIBERO and task in _instructions(suite)


def suite_of(name: str, tasks: Iterable[str] = (), instructions: Iterable[str] = ()) -> str:
    """The suite that a folder is of, by its name (`libero_object_no_noops` is libero_object) or by what is in it.

    Args:
        name: of the folder.
        tasks: names of tasks that are in it.
        instructions: instructions that are in it.

    Returns:
        The suite of LIBERO whose name the folder's begins with and that has all those tasks and instructions, else the only
        one that has them; the folder's name where there is none.
    """
    tasks, instructions = set(tasks), set(instructions)
    known = [s for s in LIBERO if tasks <= set(_instructions(s)) and instructions <= set(_instructions(s).values())]
    called = [suite for suite in known if name == suite or name.startswith(f"{suite}_")]
    return (called or (known if len(known) == 1 and (tasks or instructions) else []) or [name])[0]
