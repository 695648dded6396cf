"""Absolute end-effector poses as actions of LIBERO, and the end effector's state in the frame of its controller.

LIBERO's controller (robosuite 1.4 OSC_POSE) follows the grip site. Its actions are changes of that site's pose in the world
frame: 1 is 5 cm along an axis, or 0.5 rad of a rotation vector, and what is beyond [-1, 1] is cut. A model of absolute poses
gives the target pose of the site, which robosuite executes with `use_delta = False`. The observation's `eef_quat` is not that
orientation: it is the hand body's, and the site is turned against it by 90 degrees about their common axis.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..base import Array
from ..scripted.geometry import exp, from_quaternion, log

POSITION_SCALE, ROTATION_SCALE = 0.05, 0.5
"""Metres and radians of an action of 1."""
SITE_IN_HAND = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""Axes of the grip site in the hand's body, as columns."""
LEAST_TURN = 1e-9
"""In place of no rotation at all, for which the controller keeps the goal of the step before."""


def site_rotation(proprio: Mapping[str, Array]) -> Array:
    """[3, 3] axes of the grip site in the world, as robosuite's `controller.ee_ori_mat`."""
    x, y, z, w = proprio["eef_quat"]
    return from_quaternion(np.array([w, x, y, z])) @ SITE_IN_HAND


def controller_state(proprio: Mapping[str, Array]) -> Array:
    """[8] float64: grip site x y z (m), its rotation vector (rad, at most half a turn), two finger positions (m)."""
    return np.concatenate([proprio["eef_pos"], log(site_rotation(proprio)), proprio["gripper_qpos"]])


def delta_of(pose: Array, proprio: Mapping[str, Array]) -> tuple[Array, bool]:
    """The action that sets the controller's goal to a pose, and whether the pose is too far away for one action.

    Args:
        pose: [7] grip site x y z (m) and rotation vector (rad), in the world; the gripper, which passes.
        proprio: LIBERO's, of the moment at which the action begins.
    """
    way = (pose[:3] - proprio["eef_pos"]) / POSITION_SCALE
    turn = log(exp(pose[3:6]) @ site_rotation(proprio).T) / ROTATION_SCALE
    if not turn.any():
        turn[2] = LEAST_TURN
    wanted = np.concatenate([way, turn])
    return np.append(np.clip(wanted, -1.0, 1.0), pose[6]), bool(np.abs(wanted).max() > 1.0)
