"""Checks that a built task stands as its initial states mean it to, before anything is scored on it.

MuJoCo 3.4 unseats the bowl of libero_spatial task 5 from its ramekin, and scores of good policies fall from 98 to
12 %. So each built task settles one known state first, and what settling does to every object is held against what it
does in the reference version (`premises.json`). Later episodes only note what is unusual: 35 of the 2,000 states are
violent in the benchmark itself.
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
"""Largest difference from the usual distance moved while settling."""
TURNED_DEG = 2.0
SPEED_LIMIT = 0.02
"""m/s that an object may still have after settling."""
DEPTH_LIMIT_MM = 3.0
"""Deepest penetration after settling (the worst ordinary state has 1.2)."""


@dataclass(frozen=True, slots=True)
class SceneCheck:
    """What settling usually does to the objects of one task."""

    state: int
    """An initial state in which everything does the usual."""
    objects: Mapping[str, tuple[float, float, float]]
    """Object -> rise (mm), distance moved (mm), turn (degrees)."""


@cache
def _all() -> dict[str, SceneCheck]:
    table = json.loads(files(__name__.rpartition(".")[0]).joinpath("premises.json").read_text(encoding="utf-8"))
    return {key: SceneCheck(v["state"], v["objects"]) for key, v in table.items() if not key.startswith("_")}


def scene_check_of(suite: str, task_id: int) -> SceneCheck | None:
    """The premise of one task; None where none was measured (libero_90)."""
    return _all().get(f"{suite}/{task_id}")


def object_poses(scene: Any) -> dict[str, np.ndarray]:
    """Movable object -> x y z (m), qw qx qy qz, from its free joint's current values."""
    return {name: np.array(scene.data.joint(thing.joints[-1]).qpos) for name, thing in scene.inner.objects_dict.items()}


def unusual(premise: SceneCheck, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> list[str]:
    """What settled otherwise than usual, one sentence each."""
    notes = []
    for name, (_, moved_usual, turn_usual) in premise.objects.items():
        moved = float(np.linalg.norm(after[name][:3] - before[name][:3])) * 1e3
        turn = angle_degrees(before[name][3:], after[name][3:])
        if abs(moved - moved_usual) > MOVED_MM or abs(turn - turn_usual) > TURNED_DEG:
            usual = f"usual are {moved_usual:.1f} and {turn_usual:.1f}"
            notes.append(f"{name} moved {moved:.1f} mm and turned {turn:.1f} degrees while settling; {usual}")
    return notes


def restless(scene: Any) -> list[str]:
    """Objects that still move, and contacts that are too deep, after settling."""
    notes = []
    for name, thing in scene.inner.objects_dict.items():
        speed = float(np.linalg.norm(scene.data.joint(thing.joints[-1]).qvel[:3]))
        if speed > SPEED_LIMIT:
            notes.append(f"{name} still moves at {speed * 1e3:.0f} mm/s after settling")
    depth = -1e3 * float(min(scene.data.contact.dist, default=0.0))
    if depth > DEPTH_LIMIT_MM:
        notes.append(f"a contact is {depth:.1f} mm deep after settling")
    return notes


def require(suite: str, task_id: int, notes: list[str]) -> None:
    """Raises SceneCheckError where the known state of a task did not settle as in the reference version."""
    if notes:
        raise SceneCheckError(
            f"{suite} task {task_id} does not stand as it should: {'; '.join(notes)}. Another MuJoCo version or changed "
            "collision shapes do this; its episodes are not scored. Type: nora-bench doctor"
        )
