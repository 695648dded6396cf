"""The Panda gripper as a planner sees it: its shape, its reach, and how far it stays clear of a scene.

Frame of the gripper: the grip site. Its third axis is the approach, its first the closing axis (the fingers move along
it); at reset the gripper points down and closes along world y. Sizes from robosuite's Panda gripper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .geometry import DOWN, Array, Boxes, Pose, apart, clearance, frame, heading

WIDEST, PARTED = 0.08, 0.03
"""Distance between the pads of the open fingers, and of fingers that have just let go of a thin thing, m."""
FINGER_REACH = 0.066
"""The open fingers reach this far from the middle, m."""
FINGER_HALF = 0.0105
"""Half thickness of a finger across the closing axis, m."""
TIP = 0.0093
"""The fingers end this far beyond the grip site, m."""
PAD_HALF, PAD_BEHIND = 0.008, 0.004
"""Half height of the fingers' pads, and how far their middle lies behind the grip site, m."""
PALM = 0.031
"""The gripper's body begins this far behind the grip site, m."""
WRIST, ELBOW_OFFSET, SHOULDER_HEIGHT = 0.204, 0.088, 0.333
"""Grip site to wrist, wrist axis to forearm axis, shoulder over the robot's base, m."""
COMFORTABLE_REACH = 0.63
"""Shoulder to wrist: at 0.69 m joint 4 is at its limit, m."""

FAR = 0.2
"""Largest clearance that is reported, m."""

WRIST_MIDDLE = 0.75 * math.pi
"""Closing axis, from the arm's direction, at which the last joint is in the middle of its range; at reset it is
pi / 4 less, rad."""


def _box(x: tuple[float, float], y: float, z: tuple[float, float]) -> tuple[Array, Array]:
    center = np.array([sum(x) / 2, 0.0, sum(z) / 2])
    return center, np.array([(x[1] - x[0]) / 2, y, (z[1] - z[0]) / 2])


def _shape(opening: float) -> list[tuple[Array, Array]]:
    inner, outer = opening / 2, opening / 2 + 0.0265
    return [
        _box((inner, outer), FINGER_HALF, (-PALM, TIP)),
        _box((-outer, -inner), FINGER_HALF, (-PALM, TIP)),
        _box((-0.104, 0.104), 0.021, (-0.09, -PALM)),
        _box((-0.104, 0.104), 0.032, (-0.123, -0.09)),
        _box((-0.045, 0.045), 0.045, (-0.2, -0.123)),
    ]


def gripper_boxes(poses: Sequence[Pose], opening: float = WIDEST) -> Boxes:
    """Five boxes per pose (two fingers, the gripper's body in three), poses in order."""
    center, half = (np.array(part) for part in zip(*_shape(opening), strict=True))
    rotation = np.array([pose.rotation for pose in poses])
    position = np.array([pose.position for pose in poses])
    at = position[:, None] + np.einsum("nij,kj->nki", rotation, center)
    return Boxes(at.reshape(-1, 3), np.repeat(rotation, len(half), axis=0), np.tile(half, (len(poses), 1)))


def gripper_clearance(poses: Sequence[Pose], solids: Boxes, opening: float = WIDEST) -> Array:
    """[poses]: distance from the gripper to the nearest solid, negative where they overlap; at most `FAR`."""
    around = np.mean([pose.position for pose in poses], axis=0)
    near = np.linalg.norm(solids.center - around, axis=1) - np.linalg.norm(solids.half, axis=1) < 0.35
    solids = solids.select(near)
    if len(solids) == 0:
        return np.full(len(poses), FAR)
    gaps = clearance(gripper_boxes(poses, opening), solids).min(1)
    return np.minimum(gaps.reshape(len(poses), -1).min(1), FAR)


def flip_wrist_if_closer(pose: Pose, gripper: Pose, robot_base: Array) -> Pose:
    """The pose, or the same with the fingers exchanged: nearer to the middle of the wrist's range and to the gripper as it is."""
    other = Pose(pose.position, pose.rotation * [-1.0, -1.0, 1.0])
    return min((pose, other), key=lambda way: _twist(way, robot_base) + apart(way.rotation, gripper.rotation))


def _twist(pose: Pose, robot_base: Array) -> float:
    """Angle from the gripper that points down with its last joint in the middle of its range."""
    out = pose.position - robot_base
    return apart(pose.rotation, frame(DOWN, heading(math.atan2(out[1], out[0]) + WRIST_MIDDLE)))


def stretch(pose: Pose, robot_base: Array) -> float:
    """Distance from shoulder to wrist at a gripper pose, m. Compare `COMFORTABLE_REACH`."""
    wrist = pose.position - WRIST * pose.rotation[:, 2] - robot_base
    return float(np.hypot(np.hypot(wrist[0], wrist[1]) - ELBOW_OFFSET, wrist[2] - SHOULDER_HEIGHT))
