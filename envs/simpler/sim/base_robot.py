"""A robot of either make in a physics scene: joint order, state and kinematics.

SAPIEN 3 orders joints differently from upstream; robots convert, and use upstream's order everywhere. Radians, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sapien

if TYPE_CHECKING:
    from ..grid import RobotInit
    from .kinematics import Kinematics


@dataclass(frozen=True, slots=True)
class RobotModel:
    """A URDF read once: builder of robots and their kinematics."""

    builder: Any
    kinematics: Kinematics
    order: np.ndarray
    """Index into upstream's joints of each of SAPIEN's."""


class BaseRobot:
    """One robot in one scene, without drive targets."""

    joints: tuple[str, ...]
    """Names in upstream's order, which all arrays have."""
    fingers: list[int]
    arm: list[int]
    """Joints that inverse kinematics move."""
    end_effector_link: str

    def __init__(self, model: RobotModel, scene: sapien.Scene, base_height: float) -> None:
        """`base_height`: world z of the root once it is placed (m)."""
        self._model, self._base_height = model, base_height
        self.body = model.builder.set_scene(scene).build()
        self.links = {link.name: link for link in self.body.links}
        self._back = np.argsort(model.order)
        joints = self.body.active_joints
        self._joints = [joints[index] for index in self._back]
        self.limits = self.body.qlimits[self._back].astype(np.float64)
        self._moving = np.array([index in self.arm for index in range(len(self.joints))], float)

    def place(self, init: RobotInit, qpos: np.ndarray) -> None:
        """Place the base at `init` and set joint positions, at rest."""
        self.body.qpos = qpos[self._model.order]
        self.body.qvel = np.zeros(len(self.joints))
        self.body.root_pose = sapien.Pose((*init.init_xy, self._base_height), init.init_rot_quat_wxyz)

    def qpos(self) -> np.ndarray:
        """[joints] float64, rad (m for fingers that slide)."""
        return self.body.qpos[self._back].astype(np.float64)

    def qvel(self) -> np.ndarray:
        """[joints] float64, the same per second."""
        return self.body.qvel[self._back].astype(np.float64)

    def end_effector(self) -> sapien.Pose:
        """End-effector pose in the frame of the root."""
        return self.body.root_pose.inv() * self.links[self.end_effector_link].entity_pose

    def solve(self, target: sapien.Pose) -> tuple[np.ndarray, bool]:
        """[joints] positions that bring the end effector to `target` (root's frame), and whether the search succeeded."""
        order = self._model.order
        solution, success = self._model.kinematics.solve(target, self.qpos()[order], self._moving[order])
        return solution[self._back], success
