"""Inverse kinematics and poses. Poses in the frame of the robot's root; m, rad."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import sapien
from sapien.wrapper.urdf_exporter import export_kinematic_chain_urdf

MAX_UPDATES = 100


class Kinematics:
    """Inverse kinematics of one articulation, whose joint order it shares.

    Damped least squares as upstream runs them: joint limits ignored, steps of a tenth, success once the error (log of the
    pose difference, all six numbers) is below 1e-4. The solver is the one compiled into SAPIEN; a package
    `pinocchio`, which SAPIEN would prefer, stops one update earlier.
    """

    def __init__(self, articulation: Any, link: str) -> None:
        """`link`: name of the link that is positioned."""
        model = import_module("sapien.pysapien_pinocchio").PinocchioModel
        self._model = model(export_kinematic_chain_urdf(articulation, force_fix_root=True), [0, 0, -9.81])
        self._model.set_joint_order([f"joint_{joint.child_link.index}" for joint in articulation.active_joints])
        self._model.set_link_order([f"link_{link.index}" for link in articulation.links])
        self._link = [each.name for each in articulation.links].index(link)

    def solve(self, target: sapien.Pose, start: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, bool]:
        """Joint positions that bring the link to `target`, and whether the search succeeded.

        Args:
            target: of the link, in the root's frame.
            start: [joints] start of the search.
            moving: [joints] 1 for joints that may change, else 0.
        """
        solution, success, _ = self._model.compute_inverse_kinematics(
            self._link, target, initial_qpos=start, active_qmask=moving, max_iterations=MAX_UPDATES
        )
        return solution, bool(success)


def as_pose(values: Any) -> sapien.Pose:
    """From x y z, qw qx qy qz."""
    return sapien.Pose(values[:3], values[3:])


def pose7(pose: sapien.Pose) -> np.ndarray:
    """x y z, qw qx qy qz in float64."""
    return np.concatenate([pose.p, pose.q]).astype(np.float64)
