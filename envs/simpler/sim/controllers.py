"""From an action of seven numbers to the drive targets of the 171 physics steps it lasts, as upstream's controllers do it.

The arm's Cartesian target starts where the hand *is*, its plan where the last plan *ended*: the lag between the two is
part of the behaviour. The gripper is the other way round: its target adds to the last command, its plan starts where the
fingers are. Radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .kinematics import moved
from .motion import SUBSTEPS, MotionPlan, MotionPlanner
from .robot import ARM, FINGERS, JOINTS, Robot

GRIPPER_SCALE = 1.31
"""Radians of finger travel per unit of the action; positive closes."""
FINGER_RANGE = (-0.0101, 1.31)
"""Targets of the fingers are kept within it: the joint's limits widened by 0.01."""
STILL = 1e-3
"""A gripper command below this (rad) repeats the last target."""


class ArmController:
    """Remembers where the last plan ended."""

    def __init__(self) -> None:
        self._planner = MotionPlanner(9, velocity=1.5, acceleration=2.0, jerk=50.0)
        self._end: tuple[list[float], list[float]] | None = None

    def plan(self, position: np.ndarray, velocity: np.ndarray, target: np.ndarray) -> MotionPlan:
        """To `target` (rad) from the end of the last plan; the first one starts at the measured position and velocity."""
        start, speed = self._end or (position.tolist(), np.clip(velocity, -1.5, 1.5).tolist())
        plan = self._planner.plan(start, speed, target.tolist())
        self._end = plan.position[-1], plan.velocity[-1]
        return plan


class GripperController:
    """Remembers the last target and the last command of the two fingers."""

    def __init__(self, position: np.ndarray) -> None:
        """`position`: [2] rad at reset."""
        self._planner = MotionPlanner(2, velocity=1.0, acceleration=7.0, jerk=50.0)
        self._target = self._commanded = position

    def target(self, command: float) -> np.ndarray:
        """[2] rad for a command in -1..1 (clipped): added to the last commanded position, or the last target if still."""
        delta = GRIPPER_SCALE * float(np.clip(command, -1.0, 1.0))
        if abs(delta) >= STILL:
            self._target = np.clip(self._commanded + delta, *FINGER_RANGE)
        return self._target

    def plan(self, position: np.ndarray, velocity: np.ndarray, target: np.ndarray) -> MotionPlan:
        """To `target` (rad) from the measured position and velocity, at every control step."""
        plan = self._planner.plan(position.tolist(), np.clip(velocity, -1.0, 1.0).tolist(), target.tolist())
        self._commanded = np.array(plan.position[-1])
        return plan


@dataclass(frozen=True, slots=True)
class DriveTargets:
    """What the drives are told at each physics step of one control step."""

    position: list[list[float]]
    """[SUBSTEPS][11] rad, in JOINTS order, within the joints' limits."""
    finger_velocity: np.ndarray
    """[SUBSTEPS, 2] float32, rad/s, scaled as the robot wants it."""
    ik_success: bool


class Controller:
    """Both groups of one robot, from its reset on."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._arm = ArmController()
        self._gripper = GripperController(robot.qpos()[FINGERS])

    def plan(self, action: np.ndarray) -> DriveTargets:
        """The next control step.

        Args:
            action: [7] translation (m) and axis-angle (rad) of the hand in the root's axes, then the gripper (-1..1).
        """
        robot = self._robot
        position, velocity = robot.qpos(), robot.qvel()
        pose = moved(robot.end_effector(), action[:3], action[3:6])
        solved, success = robot.solve(pose)
        arm_target = (solved if success else position)[ARM]
        finger_target = self._gripper.target(action[6])
        arm = self._arm.plan(position[ARM], velocity[ARM], arm_target)
        fingers = self._gripper.plan(position[FINGERS], velocity[FINGERS], finger_target)
        rows = np.empty((SUBSTEPS, len(JOINTS)))
        rows[:, ARM], rows[:, FINGERS] = arm.position[1:], fingers.position[1:]
        # PhysX 4 kept drive targets within the joints' limits by itself, PhysX 5 does not.
        rows = np.clip(rows, robot.limits[:, 0], robot.limits[:, 1])
        speeds = robot.finger_speed_scale * np.array(fingers.velocity[1:])
        return DriveTargets(rows.tolist(), speeds.astype(np.float32), success)
