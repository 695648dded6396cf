"""Upstream's WidowX 250s: its URDF built into a physics scene. Radians, metres.

JOINTS order everywhere (SAPIEN 3 orders joints differently; this module converts).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import sapien

from ...grid import RobotInit
from ..kinematics import Kinematics
from ..robot import RobotModel
from ..urdf import PhysicsLoader
from .constants import (
    ARM,
    DAMPING,
    END_EFFECTOR,
    FINGER_FRICTION,
    FINGER_PATCH,
    FINGERS,
    FORCE_LIMIT,
    GROUPS,
    JOINTS,
    STIFFNESS,
)


@cache
def load_robot(urdf: Path) -> RobotModel:
    """Robot model of a URDF, without visuals."""
    loader = PhysicsLoader()
    for link in ("left_finger_link", "right_finger_link"):
        loader.set_link_material(link, FINGER_FRICTION, FINGER_FRICTION, 0.0)
        loader.set_link_patch_radius(link, FINGER_PATCH)
        loader.set_link_min_patch_radius(link, FINGER_PATCH)
    builder = loader.load_file_as_articulation_builder(str(urdf))
    articulation = builder.set_scene(sapien.Scene([sapien.physx.PhysxCpuSystem()])).build()
    order = np.array([JOINTS.index(joint.name) for joint in articulation.active_joints])
    return RobotModel(builder, Kinematics(articulation, END_EFFECTOR), order)


class WidowXRobot:
    """One robot in one scene, at joint positions 0, without drive targets."""

    joints, fingers, end_effector_link = JOINTS, FINGERS, END_EFFECTOR

    def __init__(self, model: RobotModel, scene: sapien.Scene, base_height: float) -> None:
        """`base_height`: world z of the root once it is placed (m)."""
        self._model, self._base_height = model, base_height
        self.body = model.builder.set_scene(scene).build()
        self.links = {link.name: link for link in self.body.links}
        self._back = np.argsort(model.order)
        joints = self.body.active_joints
        self._joints = [joints[index] for index in self._back]
        self.limits = self.body.qlimits[self._back].astype(np.float64)
        self._moving = np.array([index in ARM for index in range(len(JOINTS))], float)
        for index, joint in enumerate(self._joints):
            joint.set_drive_property(STIFFNESS[index], DAMPING[index], FORCE_LIMIT[index], "force")
            joint.set_friction(0.0)
        for link, group in GROUPS.items():
            for shape in self.links[link].collision_shapes:
                shape.set_collision_groups([1, 1, group, 0])

    def place(self, init: RobotInit, qpos: np.ndarray) -> None:
        """Place the base at `init` and set joint positions ([8]), at rest."""
        self.body.qpos = qpos[self._model.order]
        self.body.qvel = np.zeros(len(JOINTS))
        self.body.root_pose = sapien.Pose((*init.init_xy, self._base_height), init.init_rot_quat_wxyz)

    def qpos(self) -> np.ndarray:
        """[8] float64, rad and m."""
        return self.body.qpos[self._back].astype(np.float64)

    def qvel(self) -> np.ndarray:
        """[8] float64, rad/s and m/s."""
        return self.body.qvel[self._back].astype(np.float64)

    def end_effector(self) -> sapien.Pose:
        """End-effector pose in the frame of the root."""
        return self.body.root_pose.inv() * self.links[END_EFFECTOR].entity_pose

    def solve(self, target: sapien.Pose) -> tuple[np.ndarray, bool]:
        """[8] joint positions that bring the end effector to `target` (root's frame), and whether the search succeeded."""
        order = self._model.order
        solution, success = self._model.kinematics.solve(target, self.qpos()[order], self._moving[order])
        return solution[self._back], success

    def set_targets(self, positions: np.ndarray) -> None:
        """Set the drives' targets ([8]), within the joints' limits: PhysX 4 kept them there by itself, PhysX 5 does not."""
        for joint, position in zip(self._joints, np.clip(positions, *self.limits.T).tolist(), strict=True):
            joint.set_drive_target(position)
