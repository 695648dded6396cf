"""Grasps of the Google robot's gripper, from an object's bounding box as it stands."""

from __future__ import annotations

import numpy as np

from ..geometry import LEVEL, UP, Array, Boxes, Pose, flat
from .gripper import PAD_MIDDLE, PALM, flip_wrist_if_closer, lean_at, pointing
from .scene import GoogleRobotScene

TALL, TALL_LEAN = 0.16, 0.9
"""An object higher than this (m) is taken from the side, the gripper leaned so far (rad): its palm does not fit over it."""
FLOOR = 0.014
"""The gripper's origin stays this far above the table: closing tips reach 8 mm beyond it, m."""
ROOM = 0.017
"""Kept between the palm and the object's top, m."""
ROUND = 0.006
"""Widths that differ by less (m) are alike: the closing axis is then free."""


def grasp_pose(scene: GoogleRobotScene, index: int) -> Pose:
    """The gripper's pose when it closes on an object."""
    box = scene.boxes(index)
    heights = box.corners()[..., 2]
    bottom, top = float(heights.min()), float(heights.max())
    middle, out = scene.center(index), flat(scene.center(index) - scene.base.position)
    if top - bottom > TALL:
        rotation = pointing(out, TALL_LEAN, np.cross(UP, out))
    else:
        height = max(middle[2] - PAD_MIDDLE, bottom + FLOOR, top - PALM + ROOM)
        middle = middle * LEVEL + (height + PAD_MIDDLE) * UP
        rotation = pointing(out, lean_at(middle - PAD_MIDDLE * UP, bottom, scene.base), closing_axis(box, out))
    rotation = flip_wrist_if_closer(rotation, out)
    return Pose(middle + PAD_MIDDLE * rotation[:, 2], rotation)


def closing_axis(box: Boxes, out: Array) -> Array:
    """Level direction across the box's narrowest level side; across `out` for what is as wide both ways."""
    axes, half = box.rotation[0].T, box.half[0]
    level = np.argsort(np.abs(axes[:, 2]))[:2]
    first, second = sorted(level, key=lambda axis: half[axis])
    if half[second] - half[first] < ROUND / 2:
        return np.cross(UP, out)
    return flat(axes[first])


def with_lean(pose: Pose, table: float, base: Pose) -> Pose:
    """The pose with the gripper leaned outwards as far as it must be there, its closing axis kept as far as that goes."""
    lean = lean_at(pose.position, table, base)
    if np.arccos(np.clip(-pose.rotation[2, 2], -1.0, 1.0)) >= lean:
        return pose
    return Pose(pose.position, pointing(flat(pose.position - base.position), lean, pose.rotation[:, 0]))
