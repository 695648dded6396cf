"""Upstream's Google robot in SAPIEN 2.2.2: reset and control steps. Runs in the interpreter of SAPIEN 2; syntax of Python 3.10.

A reset is repeated as upstream's evaluator runs it, bit for bit: its constructor resets once on its own, and where the evaluated
episode has the same objects, its reset continues in that scene. Metres, radians, seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..motion import ArmController, MotionPlanner
from ..timing import SUBSTEPS
from . import episode
from .episode import Episode, sapien
from .world import FALLING, World, lock, pose7, release

GRIPPER_SCALE = np.float64(np.float32(1.31))
"""Radians of finger travel per unit of the action, in upstream's precision."""
FINGER_MARGIN = 0.01
"""Radians by which finger targets may exceed the joint's limits."""
STILL = 1e-3
"""A gripper command below this (rad) repeats the last target."""


class GoogleEpisode(Episode):
    """One episode. The request's fields are described in `env.google_request`."""

    def __init__(self, engine: Any, request: Mapping[str, Any]) -> None:
        world = World(engine, hz=request["hz"], contact_offset=request["contact_offset"])
        super().__init__(world, Robot(world, request["robot"]), request)
        self.cabinet = _cabinet(world, request["cabinet"]) if request["cabinet"] else None
        for number, reset in enumerate(request["resets"]):
            if number:
                world.stop()
            self._reset(reset)

    def _reset(self, reset: Mapping[str, Any]) -> None:
        bodies, drops = list(self.world.objects.values()), reset["drops"]
        if reset["together"]:
            self._drop_together(bodies, drops)
        elif bodies:
            self._drop_together(bodies[:1], drops[:1])
        self.settled = [pose7(body.pose) for body in bodies]
        if bodies and not reset["together"]:
            self._drop_others(bodies[1:], drops[1:])
        self._place_robot(reset)
        if self.cabinet is not None:
            self.cabinet.set_qpos(reset["drawers"])

    def _drop_others(self, bodies: Sequence[Any], drops: Sequence[Sequence[float]]) -> None:
        for body, pose in zip(bodies, drops, strict=True):
            body.set_pose(sapien.Pose(pose[:3], pose[3:]))
            body.set_velocity(np.zeros(3))
            body.set_angular_velocity(np.zeros(3))
            lock(body, FALLING)
            self.world.settle(0.5)
        for body in bodies:
            release(body)
            self.world.settle(0.5)
        if bodies:
            self.world.settle_restless(bodies)


def _cabinet(world: World, request: Mapping[str, Any]) -> Any:
    cabinet = world.add_articulation(request["urdf"])
    world.number_parts(cabinet)
    cabinet.set_pose(sapien.Pose(request["place"]))
    for joint in cabinet.get_active_joints():
        joint.set_friction(request["friction"])
        joint.set_drive_property(stiffness=0, damping=request["damping"])
    return cabinet


class Robot(episode.Robot):
    """The Google robot with its two controllers."""

    def reset(self, qpos: Sequence[float]) -> None:
        """Set joint positions, at rest, and start new controllers."""
        super().reset(qpos)
        body = self.body
        limits = body.get_qlimits()[self._fingers]
        self._arm_controller = ArmController()
        self._gripper = Gripper(body.get_qpos()[self._fingers], limits[:, 0] - FINGER_MARGIN, limits[:, 1] + FINGER_MARGIN)

    def step(self, action: np.ndarray, scene: Any) -> bool:
        """Execute one control step; whether the inverse kinematics succeeded."""
        body, arm = self.body, self._arm
        solved, success, _ = self._model.compute_inverse_kinematics(
            self._effector,
            displaced(self.effector_pose(), action),
            initial_qpos=body.get_qpos(),
            active_qmask=self._mask,
            max_iterations=100,
        )
        position, velocity = body.get_qpos(), body.get_qvel()
        target = (solved if success else position)[arm]
        arm_plan = self._arm_controller.plan(position[arm], velocity[arm], target)
        finger_plan = self._gripper.plan(float(action[6]), position[self._fingers], velocity[self._fingers])
        rows, speeds = np.zeros((SUBSTEPS, body.dof), np.float32), np.zeros((SUBSTEPS, body.dof), np.float32)
        rows[:, arm], rows[:, self._fingers] = arm_plan.position[1:], finger_plan.position[1:]
        speeds[:, self._fingers] = finger_plan.velocity[1:]
        passive, push, advance = body.compute_passive_force, body.set_qf, scene.step
        set_targets, set_speeds = body.set_drive_target, body.set_drive_velocity_target
        for row, speed in zip(rows, speeds, strict=True):
            force = passive(external=False)
            set_targets(row)
            set_speeds(speed)
            push(force)
            advance()
        return bool(success)


class Gripper:
    """Controller of the two fingers; its state is the last target and the last command."""

    def __init__(self, position: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """`position`: [2] rad at reset. `low`, `high`: [2] range of targets."""
        self._planner = MotionPlanner(2, velocity=1.0, acceleration=7.0, jerk=50.0)
        self._target = self._commanded = position
        self._low, self._high = low, high

    def plan(self, command: float, position: np.ndarray, velocity: np.ndarray) -> Any:
        """Motion of a control step from the measured position and velocity (rad, rad/s)."""
        delta = GRIPPER_SCALE * np.clip(command, -1, 1)
        if abs(delta) >= STILL:
            self._target = np.clip(self._commanded + delta, self._low, self._high)
        plan = self._planner.plan(position.tolist(), np.clip(velocity, -1.0, 1.0).tolist(), self._target.tolist())
        self._commanded = np.array(plan.position[-1])
        return plan


def displaced(pose: Any, action: np.ndarray) -> Any:
    """`pose` moved by action[:3] and turned by the rotation vector action[3:6] about its own origin, both in fixed axes."""
    target = sapien.Pose(action[:3], turn(action[3:6])) * pose
    target.set_p(pose.p + action[:3])
    return target


def turn(rotation: np.ndarray) -> list[float]:
    """w x y z of a rotation vector (rad), with SciPy's series for small angles."""
    x, y, z = rotation.tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    square = angle * angle
    scale = 0.5 - square / 48 + square * square / 3840 if angle <= 1e-3 else math.sin(angle / 2) / angle
    return [math.cos(angle / 2), scale * x, scale * y, scale * z]
