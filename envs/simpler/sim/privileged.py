"""Full simulator state as plain arrays, for scripted experts. World frame, m, rad; poses x y z, qw qx qy qz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..grid import EpisodeSetup
from ..placements import objects
from .kinematics import pose7
from .scene import SimplerScene

if TYPE_CHECKING:
    from .sapien2.scene import RemoteScene


def privileged_state(scene: SimplerScene | RemoteScene, robot: Any) -> dict[str, Any]:
    """`tcp` [7], `qpos` [11, WidowX 8], `objects` [n, 7] (actor frames), `coms` [n, 3], `drawers` [3] (empty without a cabinet),
    `contacts` (pairs of body names of the last physics step)."""
    snapshot = scene.snapshot()
    return {
        "tcp": pose7(robot.links[robot.end_effector_link].entity_pose),
        "qpos": robot.qpos(),
        "objects": snapshot.poses,
        "coms": snapshot.centres,
        "drawers": np.array(list(snapshot.drawers.values())),
        "contacts": [[contact.first, contact.second] for contact in scene.contacts()],
    }


def scene_facts(scene: SimplerScene | RemoteScene, robot: Any, setup: EpisodeSetup) -> dict[str, Any]:
    """Constants of an episode; call before its first step.

    `task` and `subtask` of the grid, `joints` (names of `qpos`), `objects` (model ids), `source` and `target` (index or
    None), `bounds` [n, 2, 3] (least and greatest corner of each object's collision shapes in its actor's frame), `settled`
    [n, 7], `robot_base` [7].
    """
    placed = objects(setup)
    return {
        "task": setup.configuration.task,
        "subtask": setup.configuration.subtask,
        "joints": list(robot.joints),
        "objects": list(scene.objects),
        "source": placed.source,
        "target": placed.target,
        "bounds": np.array([_bounds(body) for body in scene.objects.values()]).reshape(-1, 2, 3),
        "settled": scene.snapshot().poses,
        "robot_base": pose7(robot.body.root_pose),
    }


def _bounds(body: Any) -> np.ndarray:
    corners = np.concatenate([shape.vertices for shape in body.collision_shapes]).astype(np.float64)
    return np.array([corners.min(axis=0), corners.max(axis=0)])
