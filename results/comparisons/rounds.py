"""Rounds of a plan: the order in which a run that may stop early is executed and evaluated.

A round has initial states of every task (of every part of a task with parts), so that at its end all have had their share. An
initial state with all its appearances and seeds is one entry of a round: these are correlated, only initial states are sampled
independently. Of tasks with more initial states than others, a round takes several, so that all tasks end in the same round and
every episode is in some round.

Entries carry weights, so that the mean of a round is the mean that the paper's table prints (`layouts.toml`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...envs.base import EpisodeSpec
from .. import layouts
from ..grouping import task_weights
from ..layouts import Column

Group = tuple[str, int, str]
"""Suite, task, part of it: initial states of one group are exchangeable."""
Names = Mapping[tuple[str, int], str]
"""(suite, task) -> the task's name, as the benchmark spells it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One initial state of a task's part, with all its appearances and seeds."""

    episodes: tuple[EpisodeSpec, ...]
    exponent: float
    """Weight of the unit's outcome, in (0, 1]. In a round the exponents of a group sum to the group's weight times a number
    that is the same for all groups, as large as possible (see `sequential` for the bound of 1)."""


Round = tuple[Entry, ...]


def rounds(episodes: Iterable[EpisodeSpec], order_seed: int, names: Names) -> list[Round]:
    """The planned episodes by rounds, in order of execution; every episode is in one round.

    The number of rounds is that of the initial states in the smallest group. `order_seed` determines the order of initial states
    within each group.
    """
    groups: dict[Group, dict[int, list[EpisodeSpec]]] = {}
    for spec in episodes:
        group = spec.suite, spec.task_id, spec.variant.partition("/")[2]
        groups.setdefault(group, {}).setdefault(spec.init_state, []).append(spec)
    weights = group_weights(groups, names)
    shuffled = {
        group: sorted(states.values(), key=lambda state: _sort_key(state, order_seed)) for group, states in groups.items()
    }
    count = min(map(len, shuffled.values()), default=0)
    return [_round(shuffled, weights, number, count) for number in range(count)]


def _round(
    shuffled: Mapping[Group, Sequence[list[EpisodeSpec]]], weights: Mapping[Group, float], number: int, count: int
) -> Round:
    """Round `number` of `count`: from each group its share of initial states, as even as possible."""
    chunks = {
        group: states[number * len(states) // count : (number + 1) * len(states) // count] for group, states in shuffled.items()
    }
    size = min(len(chunk) / weights[group] for group, chunk in chunks.items())
    return tuple(Entry(tuple(state), size * weights[group] / len(chunk)) for group, chunk in chunks.items() for state in chunk)


def _sort_key(episodes: Sequence[EpisodeSpec], order_seed: int) -> str:
    """Pseudorandom sort key of an initial state, independent of the other episodes."""
    first = episodes[0]
    name = f"{order_seed}/{first.suite}/{first.task_id}/{first.variant.partition('/')[2]}/{first.init_state}#round"
    return hashlib.sha256(name.encode()).hexdigest()


def group_weights(groups: Iterable[Group], names: Names) -> dict[Group, float]:
    """Weight of each group in the mean of the paper's table; they sum to 1.

    Suites weigh equally, in a suite the table's columns, in a column its kinds of task, in a kind its parts. Suites that no
    table shows: tasks equally, and in a task its parts.
    """
    suites: dict[str, list[Group]] = {}
    for group in groups:
        suites.setdefault(group[0], []).append(group)
    return {group: weight / len(suites) for own in suites.values() for group, weight in _suite_weights(own, names).items()}


def _suite_weights(groups: Sequence[Group], names: Names) -> dict[Group, float]:
    """Weights of one suite's groups."""
    suite = groups[0][0]
    named = {(names[suite, task], part): (suite, task, part) for _, task, part in groups}
    columns = [column for column in layouts.fitting({suite}).columns if column.suite == suite]
    weights = [own_weights for column in columns if (own_weights := _column_weights(column, named))]
    if {name for own_weights in weights for name in own_weights} != set(named):
        weights = [{key: 1.0 for key in named if key[0] == task} for task in dict.fromkeys(task for task, _ in named)]
        weights = [{key: 1 / len(own_weights) for key in own_weights} for own_weights in weights]
    return {named[key]: weight / len(weights) for own_weights in weights for key, weight in own_weights.items()}


def _column_weights(column: Column, named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Weights within a column of the table, over its planned kinds of task; empty without any."""
    kinds = tuple(kind for kind in column.tasks if any(task.startswith(kind) for task, _ in named))
    if column.tasks and not kinds:
        return {}
    own = [key for key in named if not kinds or key[0].startswith(kinds)]
    return task_weights(own, replace(column, tasks=kinds))
