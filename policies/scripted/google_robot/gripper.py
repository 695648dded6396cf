"""The Google robot's gripper as a planner sees it: its frame, its shape, and how far it can point down.

Frame of the gripper: origin of `link_gripper_tcp`, where the tips of the closed fingers end. Third axis: the approach;
first: the closing axis, as for the Panda. Sizes from the robot's URDF, reach from its joint limits.
"""

from __future__ import annotations

import math

import numpy as np

from ..geometry import DOWN, LEVEL, Array, Pose, apart, frame, heading, norm

PALM = 0.087
"""The gripper's body begins this far behind the frame's origin, m."""
PAD_MIDDLE = 0.022
"""Middle of the fingertips' pads behind the origin, with a can between them, m."""
WRIST_MIDDLE = -2.93
"""Closing axis, from the arm's direction, at which the last joint is in the middle of its range, rad."""
_CLOSING_FIRST = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""From the axes of `link_gripper_tcp`, whose fingers move along y, to the gripper's."""


def from_tcp(tcp: Pose) -> Pose:
    """The gripper's frame where `link_gripper_tcp` stands."""
    return Pose(tcp.position, tcp.rotation @ _CLOSING_FIRST)


def lean_at(position: Array, table: float, base: Pose) -> float:
    """Angle by which a gripper must point outwards instead of down, there, for the wrist to stay in its range (rad).

    From solving the arm's kinematics over the table: straight down is reachable near the table and the robot only.
    """
    height, distance = position[2] - table, norm((position - base.position) * LEVEL)
    return float(np.clip(0.07 + 2.5 * height + 1.5 * max(0.0, distance - 0.6), 0.10, 0.9))


def pointing(out: Array, lean: float, closing: Array) -> Array:
    """Axes of a gripper that points down, leaned by `lean` towards the level direction `out`, closing about along `closing`."""
    return frame(math.cos(lean) * DOWN + math.sin(lean) * out, closing)


def flip_wrist_if_closer(rotation: Array, out: Array) -> Array:
    """The axes, or the same with the fingers exchanged: those nearer to the middle of the last joint's range."""
    middle = frame(DOWN, heading(math.atan2(out[1], out[0]) + WRIST_MIDDLE))
    return min((rotation, rotation * [-1.0, -1.0, 1.0]), key=lambda way: apart(way, middle))


def to_base(vector: Array, base: Pose) -> Array:
    """A world vector in the axes of the robot's root, in which actions are given."""
    return base.rotation.T @ vector
