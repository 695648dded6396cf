"""LIBERO's own demonstrations made ready as the papers do: no-ops left out, the rest played again, failures dropped.

What is left after a pause was cut out has other states than were recorded, so the actions are played from the recorded first
state, after the settling of the evaluation, and the states are those of that playing. Fixtures stand where the recorded model
has them. (The script behind the published no-op-free sets draws them anew.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...envs.base import EnvOptions, SimulationError
from ...harness.execution.signals import die_with_parent
from ..data.demonstrations import Demonstration, append, keys, read_file, task_file
from ..data.filters import acting
from ..data.images import fixtures_of

if TYPE_CHECKING:
    from ...envs.libero.sim.restored import StateReplayer

SETTLE_STEPS = 10
STILL = np.array([0.0] * 6 + [-1.0])


@dataclass(frozen=True, slots=True)
class Count:
    """What became of demonstrations."""

    kept: int = 0
    failed: int = 0
    """Whose goal did not hold after the last action."""
    steps: int = 0
    """Of the kept ones, before."""
    noops: int = 0
    """Of these, left out."""

    def __add__(self, other: Count) -> Count:
        return Count(self.kept + other.kept, self.failed + other.failed, self.steps + other.steps, self.noops + other.noops)


def regenerate(player: StateReplayer, demonstration: Demonstration) -> Demonstration | None:
    """The demonstration without no-ops, played again; None where its goal is then not reached."""
    player.open(demonstration.suite, demonstration.task)
    keep = acting(demonstration.actions)
    fixtures = fixtures_of(demonstration, player)
    try:
        trace = player.replay(demonstration.states[0], demonstration.actions[keep], fixtures, [STILL] * SETTLE_STEPS)
    except SimulationError:
        return None
    if not trace.success:
        return None
    return replace(
        demonstration,
        actions=demonstration.actions[keep],
        labels=demonstration.labels[keep],
        pushed=demonstration.pushed[keep],
        states=trace.states,
        seen_qpos=trace.seen_qpos,
        robot_states=trace.robot_states,
        model=trace.model,
        facts={**demonstration.facts, "fixtures": fixtures, "columns": trace.columns, "noops": int((~keep).sum())},
    )


def regenerate_all(
    files: Sequence[Path], out: Path, options: EnvOptions, *, workers: int, report: Callable[[Count], None]
) -> Count:
    """Make the demonstrations of those files ready, a file at a time in each of `workers` processes; what is there is kept.

    They go to `out`, a folder per suite. `report` is called with the count of every file that is done.
    """
    total = Count()
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        for job in as_completed([pool.submit(regenerate_file, path, out, options) for path in files]):
            total += job.result()
            report(job.result())
    return total


def regenerate_file(path: Path, out: Path, options: EnvOptions) -> Count:
    """The same for one file, in this process."""
    from ...envs.libero.sim.restored import StateReplayer

    player = StateReplayer(options)
    total = Count()
    for demonstration in read_file(path):
        folder = out / demonstration.suite
        folder.mkdir(parents=True, exist_ok=True)
        place = task_file(folder, demonstration.task)
        if place.exists() and demonstration.key in keys(place):
            continue
        made = regenerate(player, demonstration)
        if made is None:
            total += Count(failed=1)
            continue
        append(folder, made)
        total += Count(1, 0, len(demonstration), len(demonstration) - len(made))
    return total
