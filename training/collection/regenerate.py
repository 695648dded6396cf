"""Regeneration of LIBERO's demonstrations as in the papers: no-ops removed, the rest replayed, failures dropped.

Removing a pause changes all later states, so the actions are replayed from the recorded first state, after the settling of
the evaluation, and the states are those of the replay. Fixtures are placed as in the recorded model. (The script behind the
published no-op-free sets samples them anew.)
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
from ..data.demonstrations import Demonstration, keys, read_file, task_file
from ..data.images import fixtures_of
from ..data.readers import acting
from .writer import append

if TYPE_CHECKING:
    from ...envs.libero.sim.restored import StateReplayer

SETTLE_STEPS = 10
STILL = np.array([0.0] * 6 + [-1.0])


@dataclass(frozen=True, slots=True)
class RegenerateCounts:
    """Counts of kept and dropped demonstrations."""

    kept: int = 0
    failed: int = 0
    """Goal not reached after the last action."""
    steps: int = 0
    """Steps of the kept ones, before."""
    noops: int = 0
    """Steps that were removed as no-ops."""

    def __add__(self, other: RegenerateCounts) -> RegenerateCounts:
        return RegenerateCounts(
            self.kept + other.kept, self.failed + other.failed, self.steps + other.steps, self.noops + other.noops
        )


def regenerate(player: StateReplayer, demonstration: Demonstration) -> Demonstration | None:
    """The demonstration without no-ops, replayed; None where the replay misses the goal."""
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
    files: Sequence[Path], out: Path, options: EnvOptions, *, workers: int, report: Callable[[RegenerateCounts], None]
) -> RegenerateCounts:
    """Regenerate the demonstrations of files in `workers` processes, one file at a time each; existing ones are kept.

    Written to `out`, one folder per suite. `report` is called with the counts of every finished file.
    """
    total = RegenerateCounts()
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        for job in as_completed([pool.submit(regenerate_file, path, out, options) for path in files]):
            total += job.result()
            report(job.result())
    return total


def regenerate_file(path: Path, out: Path, options: EnvOptions) -> RegenerateCounts:
    """Regenerate one file, in this process."""
    from ...envs.libero.sim.restored import StateReplayer

    player = StateReplayer(options)
    total = RegenerateCounts()
    for demonstration in read_file(path):
        folder = out / demonstration.suite
        folder.mkdir(parents=True, exist_ok=True)
        place = task_file(folder, demonstration.task)
        if place.exists() and demonstration.key in keys(place):
            continue
        result = regenerate(player, demonstration)
        if result is None:
            total += RegenerateCounts(failed=1)
            continue
        append(folder, result)
        total += RegenerateCounts(1, 0, len(demonstration), len(demonstration) - len(result))
    return total
