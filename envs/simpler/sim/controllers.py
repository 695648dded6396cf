"""Controllers: from an action of seven numbers to the drive targets of its 171 physics steps, as upstream's.

The arm's Cartesian target is relative to the measured end-effector pose, its plan starts at the end of the last plan; the
lag between the two is part of the behaviour. The gripper is the reverse: its target adds to the last command, its plan
starts at the measured finger positions. Plans are jerk-limited, as upstream makes them with Ruckig. Radians, seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sapien

from ...rotations import from_axis_angle
from .kinematics import as_pose
from .motion import ArmController, MotionPlan, MotionPlanner
from .robot import ARM, BLOCKED_DRIVE, DAMPING, FINGERS, JOINTS, STIFFNESS, Robot
from .timing import SUBSTEPS

GRIPPER_SCALE = 1.31
"""Radians of finger travel per unit of the action; positive closes."""
FINGER_RANGE = (-0.0101, 1.31)
"""Range of finger targets: the joint's limits widened by 0.01."""
STILL = 1e-3
"""A gripper command below this (rad) repeats the last target."""
BLOCKED_SPEED = np.array((0.12, 0.20))
"""rad/s per N m of delivered torque: velocity that PhysX 4 reports of the right and the left finger while an object blocks
them. The fingers stand still; the number is what is left of the drive's push in the last solver iteration (at most u h = 0.49,
see `robot.FINGER_GAINS`). Medians of the original in 381 control steps of six can grasps (quartiles 0.12 to 0.14 and 0.21 to
0.22). Fingers that block each other report none. PhysX 5 reports none either, or a little backwards."""


class GripperController:
    """Controller of the two fingers; its state is the last target and the last command."""

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
        """Plan to `target` (rad) from the measured position and velocity, at every control step."""
        plan = self._planner.plan(position.tolist(), np.clip(velocity, -1.0, 1.0).tolist(), target.tolist())
        self._commanded = np.array(plan.position[-1])
        return plan


def blocked_velocity(position: np.ndarray, velocity: np.ndarray, drive: DriveTargets) -> np.ndarray:
    """[2] rad/s that upstream's engine would report of fingers that squeeze an object, for the measured position and velocity.

    Upstream plans from it: a grip that continues to close starts every control step at up to full speed, and its force never
    falls to zero. `drive`: the last control step's; its end decides the torque.
    """
    finger = FINGERS[0]
    torque = STIFFNESS[finger] * (np.array(drive.position[-1])[FINGERS] - position)
    torque += DAMPING[finger] * (drive.finger_end_velocity - velocity)
    return velocity + BLOCKED_SPEED * BLOCKED_DRIVE * np.maximum(torque, 0.0)


@dataclass(frozen=True, slots=True)
class DriveTargets:
    """Drive targets at each physics step of one control step."""

    position: list[list[float]]
    """[SUBSTEPS][11] rad, in JOINTS order, within the joints' limits."""
    finger_velocity: np.ndarray
    """[SUBSTEPS, 2] float32, rad/s, scaled by `Robot.finger_speed_scale`."""
    finger_end_velocity: np.ndarray
    """[2] rad/s at the end of the control step, not scaled."""
    ik_success: bool


class Controller:
    """Arm and gripper controllers of one robot, created at its reset."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._arm = ArmController()
        self._gripper = GripperController(robot.qpos()[FINGERS])
        self._last: DriveTargets | None = None

    def plan(self, action: np.ndarray, *, squeezing: bool = False) -> DriveTargets:
        """Drive targets of the next control step.

        Args:
            action: [7] translation (m) and axis-angle (rad) of the end effector in the root's axes, then the gripper (-1..1).
            squeezing: whether both fingers push on one object (`SimplerScene.is_squeezing`).
        """
        robot = self._robot
        position, velocity = robot.qpos(), robot.qvel()
        pose = moved(robot.end_effector(), action[:3], action[3:6])
        solved, success = robot.solve(pose)
        arm_target = (solved if success else position)[ARM]
        finger_target = self._gripper.target(action[6])
        arm = self._arm.plan(position[ARM], velocity[ARM], arm_target)
        finger_velocity = velocity[FINGERS]
        if squeezing and self._last is not None:
            finger_velocity = blocked_velocity(position[FINGERS], finger_velocity, self._last)
        fingers = self._gripper.plan(position[FINGERS], finger_velocity, finger_target)
        rows = np.empty((SUBSTEPS, len(JOINTS)))
        rows[:, ARM], rows[:, FINGERS] = arm.position[1:], fingers.position[1:]
        # PhysX 4 kept drive targets within the joints' limits by itself, PhysX 5 does not.
        rows = np.clip(rows, robot.limits[:, 0], robot.limits[:, 1])
        speeds = np.array(fingers.velocity[1:])
        scaled = (robot.finger_speed_scale * speeds).astype(np.float32)
        self._last = DriveTargets(rows.tolist(), scaled, speeds[-1], success)
        return self._last


def moved(pose: sapien.Pose, translation: np.ndarray, rotation: np.ndarray) -> sapien.Pose:
    """`pose` translated by `translation` and rotated about its own origin by the axis-angle `rotation`, both in fixed axes."""
    turned = as_pose(np.append(np.zeros(3), from_axis_angle(rotation))) * sapien.Pose(q=pose.q)
    return as_pose(np.concatenate([pose.p + translation, turned.q]))
