"""Backend sapien2 compared with recordings of upstream: whole episodes from their reset on, every number of every state.

Nothing is taken from a recording but the episode's name and its actions; all tolerances are zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...parity import Check, max_abs_difference
from .. import recordings
from ..recordings import Recording
from ..sim.env import start_drawers, start_position
from ..sim.robot import JOINTS
from ..sim.sapien2.process import PhysicsProcess
from ..sim.sapien2.scene import RemotePhysics
from .rules import differences


def compare(folder: Path, pack: Path, cache: Path) -> Iterator[Check]:
    """Checks of all recordings in a folder, with upstream's pack. Needs SAPIEN 2.2.2's interpreter; raises SuiteError."""
    process = PhysicsProcess(cache)
    try:
        for recording in recordings.read_all(folder):
            yield from compare_one(recording, process, pack)
    finally:
        process.close()


def compare_one(recording: Recording, process: PhysicsProcess, pack: Path) -> Iterator[Check]:
    """Checks of one recording."""
    setup, name = recording.setup, recording.name
    physics = RemotePhysics(process, pack, setup, start_position(setup), start_drawers(setup))
    recorded = recorded_states(recording)
    yield Check(name, "sapien2: state after the reset", max_abs_difference(physics.scene.state(), recorded[0]), 0.0)
    error, other_plans = 0.0, 0
    wrong: dict[str, int] = dict.fromkeys(recording.infos, 0)
    for step, action in enumerate(np.asarray(recording.arrays["actions"], np.float64)):
        physics.step(action)
        error = max(error, max_abs_difference(physics.scene.state(), recorded[step + 1]))
        other_plans += physics.ik_success != bool(recording.arrays["ik_success"][step])
        for flag, differs in differences(physics.rule.facts(), recording, step):
            wrong[flag] += differs
    yield Check(name, "sapien2: states after every step", error, 0.0, f"{len(recorded) - 1} steps")
    yield Check(name, "sapien2: inverse kinematics, different outcomes", float(other_plans), 0.0)
    yield Check(name, "sapien2: flags of all steps that differ", float(sum(wrong.values())), 0.0)
    same = physics.rule.statistics() == recording.facts["final_episode_stats"]
    yield Check(name, "sapien2: episode_stats", float(not same), 0.0)


def recorded_states(recording: Recording) -> np.ndarray:
    """[1 + steps, numbers] float64: the states as `RemoteScene.state` gives them."""
    arrays = recording.arrays
    rows = len(arrays["qpos"])
    order = [recording.facts["robot_joint_names"].index(name) for name in JOINTS]
    parts = [np.asarray(arrays[name], np.float64)[:, order] for name in ("qpos", "qvel")]
    for index in range(len(recording.facts["object_names"])):
        parts += [np.asarray(arrays[name], np.float64)[:, index] for name in ("obj_pose_world", "obj_vel")]
    if recording.facts["cabinet_joint_names"]:
        parts += [np.asarray(arrays[name], np.float64) for name in ("cabinet_qpos", "cabinet_qvel")]
    return np.concatenate([part.reshape(rows, -1) for part in parts], axis=1)
