"""Checks that the objects of a built task settle as in the reference version, before any episode is scored on it.

MuJoCo 3.4 unseats the bowl of libero_spatial task 5 from its ramekin, and success rates of good policies fall from 98 to
12 %. So each built task first settles one known state, and the motion of every object is compared with the reference
(`premises.json`). Later episodes only record deviations: 35 of the 2,000 states are violent in the benchmark itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from ...base import SceneCheckError
from ...rotations import angle_degrees

MOVED_MM = 2.0
"""Largest deviation from the usual distance moved while settling."""
TURNED_DEG = 2.0
SPEED_LIMIT = 0.02
"""Largest speed of an object after settling, m/s."""
DEPTH_LIMIT_MM = 3.0
"""Deepest penetration after settling (the worst ordinary state has 1.2)."""


@dataclass(frozen=True, slots=True)
class SceneCheck:
    """Usual motion of one task's objects while settling."""

    state: int
    """An initial state with the usual motion of every object."""
    objects: Mapping[str, tuple[float, float, float]]
    """Object -> rise (mm), distance moved (mm), turn (degrees)."""


@cache
def _all() -> dict[str, SceneCheck]:
    table = json.loads(files(__name__.rpartition(".")[0]).joinpath("premises.json").read_text(encoding="utf-8"))
    return {key: SceneCheck(v["state"], v["objects"]) for key, v in table.items() if not key.startswith("_")}


def scene_check_of(suite: str, task_id: int) -> SceneCheck | None:
    """The check of one task; None where none was measured."""
    return _all().get(f"{suite}/{task_id}")


def object_poses(scene: Any) -> dict[str, np.ndarray]:
    """Movable object -> x y z (m), qw qx qy qz, from its free joint's current values."""
    return {name: np.array(scene.data.joint(thing.joints[-1]).qpos) for name, thing in scene.inner.objects_dict.items()}


def unusual(check: SceneCheck, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> list[str]:
    """Deviations from the usual settling, one sentence each."""
    notes = []
    for name, (_, moved_usual, turn_usual) in check.objects.items():
        moved = float(np.linalg.norm(after[name][:3] - before[name][:3])) * 1e3
        turn = angle_degrees(before[name][3:], after[name][3:])
        if abs(moved - moved_usual) > MOVED_MM or abs(turn - turn_usual) > TURNED_DEG:
            usual = f"usual are {moved_usual:.1f} and {turn_usual:.1f}"
            notes.append(f"{name} moved {moved:.1f} mm and turned {turn:.1f} degrees while settling; {usual}")
    return notes


def overlap_mm(scene: Any) -> float:
    """Deepest penetration of two movable objects, mm; zero where none touch."""
    bodies = {
        scene.model.body(scene.model.jnt_bodyid[scene.model.joint(thing.joints[-1]).id]).rootid[0]: name
        for name, thing in scene.inner.objects_dict.items()
    }
    roots = scene.model.body_rootid[scene.model.geom_bodyid[scene.data.contact.geom]].reshape(-1, 2)
    between = [a != b and a in bodies and b in bodies for a, b in roots.tolist()]
    return -1e3 * float(min(scene.data.contact.dist[between], default=0.0))


def restless(scene: Any) -> list[str]:
    """The task's objects still moving, and contacts too deep, after settling; one sentence each."""
    notes = []
    for name, thing in scene.inner.objects_dict.items():
        if name in scene.added:
            continue
        speed = float(np.linalg.norm(scene.data.joint(thing.joints[-1]).qvel[:3]))
        if speed > SPEED_LIMIT:
            notes.append(f"{name} still moves at {speed * 1e3:.0f} mm/s after settling")
    depth = -1e3 * float(min(scene.data.contact.dist, default=0.0))
    if depth > DEPTH_LIMIT_MM:
        notes.append(f"a contact is {depth:.1f} mm deep after settling")
    return notes


def require(suite: str, task_id: int, notes: list[str]) -> None:
    """Raise SceneCheckError if the known state of a task did not settle as in the reference version."""
    if notes:
        raise SceneCheckError(
            f"{suite} task {task_id} does not settle as in the reference version: {'; '.join(notes)}. Causes: another MuJoCo "
            "version or changed collision shapes. Its episodes are not scored. Type: nora-bench doctor"
        )
