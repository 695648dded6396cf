"""Upstream's WidowX 250s: its URDF built into a physics scene. Radians, metres; `constants.JOINTS` order everywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import sapien

from ..base_robot import BaseRobot, RobotModel
from ..robot import read_robot
from . import constants


@cache
def load_robot(urdf: Path) -> RobotModel:
    """Robot model of a URDF, without visuals."""
    return read_robot(urdf, constants.JOINTS, constants.CONTACT, constants.END_EFFECTOR)


class WidowXRobot(BaseRobot):
    """One robot in one scene, at joint positions 0, without drive targets; arrays have 8 numbers."""

    joints, fingers, end_effector_link = constants.JOINTS, constants.FINGERS, constants.END_EFFECTOR
    arm = constants.ARM

    def __init__(self, model: RobotModel, scene: sapien.Scene, base_height: float) -> None:
        super().__init__(model, scene, base_height)
        gains = zip(constants.STIFFNESS, constants.DAMPING, constants.FORCE_LIMIT, strict=True)
        for joint, (stiffness, damping, force_limit) in zip(self._joints, gains, strict=True):
            joint.set_drive_property(stiffness, damping, force_limit, "force")
            joint.set_friction(0.0)
        for link, group in constants.GROUPS.items():
            for shape in self.links[link].collision_shapes:
                shape.set_collision_groups([1, 1, group, 0])

    def set_targets(self, positions: np.ndarray) -> None:
        """Set the drives' targets ([8]), within the joints' limits: PhysX 4 kept them there by itself, PhysX 5 does not."""
        for joint, position in zip(self._joints, np.clip(positions, *self.limits.T).tolist(), strict=True):
            joint.set_drive_target(position)
