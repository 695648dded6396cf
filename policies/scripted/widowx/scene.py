"""The scene of a WidowX episode as the expert reads it from the environment's privileged state. World frame, m, rad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..geometry import Array, Pose
from ..google_robot.scene import GoogleRobotScene

_CLOSING_FIRST = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""From the axes of `ee_gripper_link`, which points along x and closes along y, to the gripper's (closing axis, ., approach)."""


def from_tcp(tcp: Pose) -> Pose:
    """The gripper's frame where `ee_gripper_link` is: 16 mm behind the ends of the fingers."""
    return Pose(tcp.position, tcp.rotation @ _CLOSING_FIRST)


class WidowXScene(GoogleRobotScene):
    """One episode's scene: facts from its first observation, poses from its latest (see `update`)."""

    fingers = ("left_finger", "right_finger")
    gripper_at = staticmethod(from_tcp)

    def update(self, view: Mapping[str, Any]) -> None:
        super().update(view)
        self._masses = np.asarray(view["coms"], dtype=float).reshape(-1, 3)

    def middle(self, index: int) -> Array:
        """[3] centre of mass of an object."""
        return self._masses[index]

    def top(self, index: int) -> float:
        """World z of an object's highest corner."""
        return float(self.boxes(index).corners()[..., 2].max())
