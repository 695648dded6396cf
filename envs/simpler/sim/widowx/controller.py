"""WidowX controller: from an action of seven numbers to the drive targets of one control step, as upstream's.

The arm's Cartesian target accumulates over the *commanded* poses, but turns about the *measured* position, and is kept where the
inverse kinematics fail. Targets are set once per control step, without interpolation. The gripper's command is absolute.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sapien

from ....rotations import from_axis_angle
from ..kinematics import as_pose
from .constants import ARM, FINGERS
from .robot import WidowXRobot

GRIPPER_MIDDLE, GRIPPER_HALF = 0.026, 0.012
"""Finger target (m) for command 0, and its change per unit; positive opens."""


@dataclass(frozen=True, slots=True)
class Command:
    """Targets of one control step."""

    pose: sapien.Pose
    """Target of the end effector in the root's frame."""
    position: np.ndarray
    """[8] joint targets (rad, m), in JOINTS order."""
    ik_success: bool


class WidowXController:
    """Controller of one robot, created at its reset; its state is the last target pose."""

    def __init__(self, robot: WidowXRobot, *, absolute: bool = False) -> None:
        """`absolute`: actions are poses of the end effector in the root's frame instead of displacements."""
        self._robot, self._absolute = robot, absolute
        self._target = robot.end_effector()

    def plan(self, action: np.ndarray) -> Command:
        """Targets of the next control step.

        Args:
            action: [7] translation (m) and axis-angle (rad) of the end effector in the root's axes, then the gripper (-1..1, > 0
                opens). Only the gripper is clipped.
        """
        robot, position = self._robot, self._robot.qpos()
        if self._absolute:
            self._target = as_pose([*action[:3], *from_axis_angle(action[3:6])])
        else:
            self._target = accumulated(self._target, robot.end_effector(), action[:3], action[3:6])
        solved, success = robot.solve(self._target)
        targets = position.copy()
        if success:
            targets[ARM] = solved[ARM]
        targets[FINGERS] = finger_target(action[6])
        return Command(self._target, targets, success)


def accumulated(last: sapien.Pose, current: sapien.Pose, translation: np.ndarray, rotation: np.ndarray) -> sapien.Pose:
    """The next target pose: `last` turned by `rotation` (axis-angle) about the position of `current`, then translated."""
    pivot = sapien.Pose(current.p)
    return pivot * as_pose([*translation, *from_axis_angle(rotation)]) * pivot.inv() * last


def finger_target(command: float) -> float:
    """Joint target (m) of both fingers for a command, which is clipped to -1..1."""
    return GRIPPER_MIDDLE + GRIPPER_HALF * float(np.clip(command, -1.0, 1.0))
