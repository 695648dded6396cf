"""Mapping of third-party data sets to LIBERO's suites and tasks, by names and instructions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from ...envs import suites

LIBERO = (*suites.LIBERO, "libero_90")


def instruction_of(task: str) -> str | None:
    """Instruction of LIBERO's task of that name; None for an unknown task."""
    return next((_instructions(suite)[task] for suite in LIBERO if task in _instructions(suite)), None)


@cache
def _instructions(suite: str) -> dict[str, str]:
    """Task -> instruction."""
    return {task.name: task.instruction for task in suites.get(suite).tasks}


def is_task(suite: str, task: str) -> bool:
    """Whether LIBERO has that suite and task."""
    return suite in LIBERO and task in _instructions(suite)


def suite_of(name: str, tasks: Iterable[str] = (), instructions: Iterable[str] = ()) -> str:
    """Suite of a folder, by its name (`libero_object_no_noops` is libero_object) or its contents.

    Args:
        name: name of the folder.
        tasks: names of tasks in it.
        instructions: instructions in it.

    Returns:
        The LIBERO suite that has all those tasks and instructions and whose name starts the folder's, else the only suite that
        has them, else the folder's name.
    """
    tasks, instructions = set(tasks), set(instructions)
    known = [s for s in LIBERO if tasks <= set(_instructions(s)) and instructions <= set(_instructions(s).values())]
    called = [suite for suite in known if name == suite or name.startswith(f"{suite}_")]
    return (called or (known if len(known) == 1 and (tasks or instructions) else []) or [name])[0]
