"""Coverage of a table's columns by a run: complete, or a part that is named wherever its number appears."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .grouping import Group, episodes
from .layouts import Column
from .store.records import UNKEYED

if TYPE_CHECKING:
    from .conditions import Conditions


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The missing part of one column."""

    tasks: str = ""
    """`tasks 0-4` if others are missing."""
    scenes: str = ""
    """`5 of 50 initial states`, or another difference from the benchmark's scenes."""
    evaluated: int = 0
    """Different scenes, or trials on a robot."""
    of: int = 0
    """Scenes of the benchmark."""


def shortfall(group: Group, column: Column) -> Shortfall:
    """The missing part of a column that the group has evaluated at least in part."""
    records = episodes(group, column)
    tasks = {(record.task_id, record.task) for record in records}
    missing = len(tasks) != column.task_count
    label = f"task{'s' * (len(tasks) != 1)} {ranges({number for number, _ in tasks})}" if missing else ""
    expected = round(column.n * len(tasks) / column.task_count)
    if not column.states:  # trials on a robot: a start position may be used again and again
        evaluated = len(records)
        return Shortfall(label, f"{evaluated} of {expected} trials" if evaluated != expected else "", evaluated, expected)
    scenes: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for record in records:
        scenes[record.task, record.variant, record.init_state].add(record.seed)
    if group.key.init_set.startswith(UNKEYED):
        return Shortfall(label, f"{len(records)} episodes in unknown initial states", len(scenes), expected)
    if group.key.init_set:
        others = f"{group.key.init_set} initial states {ranges({state for _, _, state in scenes})}"
        return Shortfall(label, others, len(scenes), expected)
    missing_scenes = ", ".join(_scenes(scenes, column, expected))
    return Shortfall(label, missing_scenes, len(scenes), expected)


def part_label(parts: Sequence[Shortfall], run: Conditions | None = None) -> str:
    """Label of a row of those columns, `tasks 0-4, 97 of 450 episodes, interrupted`; empty for the whole benchmark."""
    tasks = dict.fromkeys(part.tasks for part in parts if part.tasks)
    scenes = [part.scenes for part in parts]
    if len(set(scenes)) > 1:
        scenes = [f"{sum(part.evaluated for part in parts)} of {sum(part.of for part in parts)} scenes"]
    return ", ".join(filter(None, [*tasks, scenes[0] if scenes else "", *(unfinished(run) if run else ())]))


def unfinished(run: Conditions) -> Iterable[str]:
    """Ways in which the whole run falls short of its plan or of the protocol."""
    planned = f" of {run.planned}" if run.planned else ""
    if not run.finished:
        yield f"{run.episodes}{planned} episodes, {'still running' if run.status == 'running' else run.status}"
    elif run.stopped:
        yield f"{run.episodes}{planned} episodes, stopped early"
    elif run.planned and run.episodes < run.planned:
        yield f"{run.episodes}{planned} episodes"
    if run.max_steps:
        yield f"cut at {run.max_steps} steps"


def _scenes(scenes: Mapping[tuple[str, str, int], set[int]], column: Column, expected: int) -> Iterable[str]:
    states = {state for _, _, state in scenes}
    by_task: dict[tuple[str, str], set[int]] = defaultdict(set)
    for task, variant, state in scenes:
        by_task[task, variant].add(state)
    if not states <= set(range(column.states)):
        yield f"initial states {ranges(states)}, not the benchmark's 0-{column.states - 1}"
    elif len(states) < column.states and all(own == states for own in by_task.values()):
        yield f"{len(states)} of {column.states} initial states"
    elif len(scenes) != expected:
        yield f"{len(scenes)} of {expected} scenes"
    if len(set(map(frozenset, scenes.values()))) > 1:
        yield "seeds differ from scene to scene"


def ranges(numbers: Iterable[int]) -> str:
    """(0, 1, 2, 5) -> `0-2,5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)
