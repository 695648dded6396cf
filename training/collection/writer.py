"""Writes demonstrations as HDF5 files in LIBERO's layout, as LIBERO's `create_dataset.py` does, without images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.safe_io import atomic_write
from ..data.demonstrations import OWN, Demonstration, import_h5py, keys, task_file


def append(folder: Path, demonstration: Demonstration) -> None:
    """Add a demonstration to its task's file atomically; an existing one is kept."""
    path = task_file(folder, demonstration.task)
    if path.exists() and demonstration.key in keys(path):
        return
    with atomic_write(path) as scratch:
        if path.exists():
            shutil.copyfile(path, scratch)
        with import_h5py().File(scratch, "a") as file:
            _add(file, demonstration)


def _add(file: Any, demonstration: Demonstration) -> None:
    data = file.require_group("data")
    if "num_demos" not in data.attrs:
        data.attrs.update(_task_attributes(demonstration))
    number = int(data.attrs["num_demos"])
    group = data.create_group(f"demo_{number}")
    last = np.zeros(len(demonstration), np.uint8)
    last[-1:] = 1
    arrays = {"actions": demonstration.actions, "states": demonstration.states, "labels": demonstration.labels}
    arrays |= {"pushed": demonstration.pushed, "robot_states": demonstration.robot_states, "rewards": last, "dones": last}
    if demonstration.seen_qpos is not None:
        arrays["seen_qpos"] = demonstration.seen_qpos
    for name, array in arrays.items():
        group.create_dataset(name, data=array, compression="gzip", shuffle=True)
    group.attrs["num_samples"] = len(demonstration)
    group.attrs["init_state"] = demonstration.states[0]
    group.attrs["model_file"] = demonstration.model
    group.attrs[OWN] = json.dumps({"key": demonstration.key, "suite": demonstration.suite, **demonstration.facts})
    data.attrs["num_demos"] = number + 1
    data.attrs["total"] = int(data.attrs["total"]) + len(demonstration)


def _task_attributes(demonstration: Demonstration) -> dict[str, Any]:
    """File attributes that LIBERO's tools need."""
    from ...envs.libero.sim.install import libero_root

    place = f"bddl_files/{demonstration.suite}/{demonstration.task}.bddl"
    text = (libero_root() / place).read_text(encoding="utf-8")
    problem = text.partition("(problem ")[2].partition(")")[0].strip()
    info = {"problem_name": problem.lower(), "domain_name": "robosuite", "language_instruction": demonstration.instruction}
    arguments = {"type": 1, "env_name": problem, "problem_name": problem.lower(), "bddl_file": place}
    return {
        "num_demos": 0,
        "total": 0,
        "tag": "libero-v1",
        "env_name": problem,
        "problem_info": json.dumps(info),
        "macros_image_convention": "opengl",
        "bddl_file_name": place,
        "bddl_file_content": text,
        "env_args": json.dumps({**arguments, "env_kwargs": {**ENVIRONMENT, "bddl_file_name": place}}),
    }


ENVIRONMENT: Mapping[str, Any] = {
    "robots": ["Panda"],
    "controller_configs": {
        "type": "OSC_POSE",
        "input_max": 1,
        "input_min": -1,
        "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
        "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5],
        "kp": 150,
        "damping_ratio": 1,
        "impedance_mode": "fixed",
        "kp_limits": [0, 300],
        "damping_ratio_limits": [0, 10],
        "position_limits": None,
        "orientation_limits": None,
        "uncouple_pos_ori": True,
        "control_delta": True,
        "interpolation": None,
        "ramp_ratio": 0.2,
    },
    "has_renderer": False,
    "has_offscreen_renderer": True,
    "ignore_done": True,
    "use_camera_obs": True,
    "camera_depths": False,
    "camera_names": ["robot0_eye_in_hand", "agentview"],
    "reward_shaping": True,
    "control_freq": 20,
    "camera_heights": 128,
    "camera_widths": 128,
    "camera_segmentations": None,
}
"""Keyword arguments of LIBERO's environment, as in its data sets: robosuite's OSC_POSE at 20 Hz."""
