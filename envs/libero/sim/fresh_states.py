"""Fresh initial states of a built task: sampling and admission. `freeze_states` makes the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...base import FRESH, EpisodeSpec, SimulationError
from ..fresh_states import fresh_states_of, unused_rows
from ..tasks import load_tasks
from . import scene_checks
from .install import init_folder

ARM_NOISE = 0.02
"""Standard deviation (rad) of each arm joint around the start pose, as in the published states."""
DECIMALS = 9
"""Decimals of a sampled state: processors differ in the last bits of sines, and these must not."""
SIDEWAYS_MM = 60.0
"""Largest sideways motion of an object while settling. With the next limit it separates 171 of the 173 rows that LIBERO pruned or
kept in libero_spatial tasks 0, 2 and 8 as LIBERO did."""
OVERLAP_MM = 8.0
"""Deepest penetration of two movable objects at the start."""
REST = np.array([0.0] * 6 + [-1.0])


def fresh_state(scene: Any, suite: str, task_id: int, number: int) -> np.ndarray:
    """A frozen state of the task's own model, read or sampled. Leaves the scene reset. Raises SuiteError if it differs.

    [1 + nq + nv] float64, also where the scene has added objects.
    """
    frozen = fresh_states_of(suite, task_id)
    assert frozen is not None  # checked with the index
    if frozen.source == "sampled":
        row = sampled_state(scene, suite, task_id, number, frozen.rows[number])
    else:
        name = load_tasks(suite)[task_id].name
        row = unused_rows(init_folder(suite), name, int(scene.task_columns.sum()))[frozen.rows[number]]
    frozen.require(f"{suite} task {task_id}", number, row)
    return row


def sampled_state(scene: Any, suite: str, task_id: int, number: int, attempt: int) -> np.ndarray:
    """[1 + nq + nv] float64: objects placed by LIBERO's samplers, arm noise as in the published states, velocities zero.

    Args:
        scene: the task's `LiberoScene`.
        suite: its suite.
        task_id: its task.
        number: of the state.
        attempt: attempts before this one that were not admitted.
    """
    spec = EpisodeSpec(suite, task_id, number, 0, "", init_set=FRESH)
    placement, noise = spec.entropy("initial state", decision=attempt).spawn(2)
    scene.reset(int(placement.generate_state(1)[0]))
    row = scene.state()
    row[0] = row[1 + scene.model.nq :] = 0.0
    row[1:][scene.arm.qpos] += ARM_NOISE * np.random.default_rng(noise).standard_normal(7)
    return np.round(row[scene.task_columns], DECIMALS)


def problem(scene: Any, row: np.ndarray) -> str:
    """Why a state is not admitted; empty if it is: the goal does not hold before or after settling, no two objects overlap, and
    settling moves none far."""
    scene.reset(0)
    scene.set_state(row)
    before = scene_checks.object_poses(scene)
    if scene.goal.holds():
        return "the goal holds at the start"
    if (overlap := scene_checks.overlap_mm(scene)) > OVERLAP_MM:
        return f"two objects overlap by {overlap:.0f} mm"
    try:
        for _ in range(10):
            scene.step(REST)
            if scene.goal.holds():
                return "the goal holds while settling"
    except SimulationError as error:
        return str(error)
    after = scene_checks.object_poses(scene)
    moved = {name: 1e3 * float(np.linalg.norm(after[name][:2] - before[name][:2])) for name in after}
    far = max(moved, key=lambda name: moved[name], default="")
    return f"{far} moves {moved[far]:.0f} mm sideways" if far and moved[far] > SIDEWAYS_MM else ""
