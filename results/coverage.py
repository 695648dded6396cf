"""How much of a table's column a run has played: all of it, or a part that must be named wherever its number stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .conditions import Conditions
from .layouts import Item
from .outcomes import Group, episodes
from .records import EpisodeRecord


def shortfall(group: Group, item: Item, run: Conditions) -> str:
    """What a reader must know of the part that was played: `tasks 0-4`, `97 of 450 episodes, interrupted`; empty for the whole.

    Args:
        group: episodes that may stand in one cell.
        item: a played column of the table.
        run: the run's conditions.
    """
    return ", ".join([*_scenes(episodes(group, item), item), *unfinished(run)])


def unfinished(run: Conditions) -> Iterable[str]:
    """In what the run as a whole falls short of its plan, or of the protocol."""
    planned = f" of {run.planned}" if run.planned else ""
    if not run.finished:
        yield f"{run.episodes}{planned} episodes, {'still running' if run.status == 'running' else run.status}"
    elif run.stopped:
        yield f"{run.episodes}{planned} episodes, stopped early"
    elif run.planned and run.episodes < run.planned:
        yield f"{run.episodes}{planned} episodes"
    if run.max_steps:
        yield f"cut at {run.max_steps} steps"


def _scenes(records: Sequence[EpisodeRecord], item: Item) -> Iterable[str]:
    tasks = sorted({record.task_id for record in records})
    if len(tasks) != item.task_count:
        yield f"task{'s' * (len(tasks) != 1)} {ranges(tasks)}"
    if not item.states:  # trials on a robot: a start position may be used again and again
        if len(records) != item.n:
            yield f"{len(records)} of {item.n} trials"
        return
    states = {record.init_state for record in records}
    scenes: dict[tuple[int, str, int], set[int]] = defaultdict(set)
    for record in records:
        scenes[record.task_id, record.variant, record.init_state].add(record.seed)
    if not states <= set(range(item.states)):
        yield f"initial states {ranges(states)}, not the benchmark's 0-{item.states - 1}"
    elif len(scenes) != item.n * len(tasks) / item.task_count:
        yield _fewer(records, states, len(scenes), item)
    if len(set(map(frozenset, scenes.values()))) > 1:
        yield "seeds differ from scene to scene"


def _fewer(records: Sequence[EpisodeRecord], states: set[int], scenes: int, item: Item) -> str:
    by_task: dict[tuple[int, str], set[int]] = defaultdict(set)
    for record in records:
        by_task[record.task_id, record.variant].add(record.init_state)
    if len(states) < item.states and all(own == states for own in by_task.values()):
        return f"{len(states)} of {item.states} initial states"
    return f"{scenes} of {item.n} scenes"


def whole_tasks(group: Group, item: Item) -> bool:
    """Whether every task of the column was played, in whatever initial states."""
    return len({record.task_id for record in episodes(group, item)}) == item.task_count


def ranges(numbers: Iterable[int]) -> str:
    """(0, 1, 2, 5) -> `0-2,5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)
