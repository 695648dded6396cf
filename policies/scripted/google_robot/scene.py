"""The scene of a SimplerEnv episode as the expert reads it from the environment's privileged state. World frame, m, rad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..geometry import Array, Boxes, Pose, from_quaternion
from .gripper import from_tcp

FINGERS = ("joint_finger_right", "joint_finger_left")
DRAWERS = ("top", "middle", "bottom")


class GoogleRobotScene:
    """One episode's scene: facts from its first observation, poses from its latest (see `update`)."""

    fingers = FINGERS
    gripper_at = staticmethod(from_tcp)
    """From the pose of the robot's tool centre point to the gripper's frame."""

    def __init__(self, view: Mapping[str, Any]) -> None:
        facts = view["scene"]
        self.task: str = facts["task"]
        self.models: list[str] = list(facts["objects"])
        self.source: int = -1 if facts["source"] is None else facts["source"]
        """Index of the object to take; -1 at the drawers."""
        self.target: int = -1 if facts["target"] is None else facts["target"]
        """Index of the object to move near to; -1 in other tasks."""
        self.base = _pose(np.asarray(facts["robot_base"], dtype=float))
        self._drawer = DRAWERS.index(facts["subtask"]) if facts["subtask"] in DRAWERS else -1
        self._fingers = [list(facts["joints"]).index(name) for name in self.fingers]
        self._bounds = np.asarray(facts["bounds"], dtype=float).reshape(-1, 2, 3)
        self.update(view)

    def update(self, view: Mapping[str, Any]) -> None:
        """Take over the poses of the latest observation."""
        tcp = _pose(np.asarray(view["tcp"], dtype=float))
        self.gripper = self.gripper_at(tcp)
        self._objects = np.asarray(view["objects"], dtype=float).reshape(-1, 7)
        self._travel = np.asarray(view["drawers"], dtype=float)
        self.closing = float(np.asarray(view["qpos"], dtype=float)[self._fingers].mean())
        """Mean angle of the fingers: 0 open, about 1.07 where they meet."""

    @property
    def bystanders(self) -> list[int]:
        """Objects that are neither source nor target."""
        return [index for index in range(len(self.models)) if index not in (self.source, self.target)]

    @property
    def drawer(self) -> int:
        """Which drawer the task is about: 0 top, 1 middle, 2 bottom. Raises ValueError in a task without."""
        if self._drawer < 0:
            raise ValueError(f"{self.task} is about no drawer")
        return self._drawer

    @property
    def travel(self) -> float:
        """Opening of that drawer."""
        return float(self._travel[self.drawer])

    def pose(self, index: int) -> Pose:
        """Pose of an object's actor."""
        return _pose(self._objects[index])

    def boxes(self, *indices: int) -> Boxes:
        """Bounding boxes of the objects' collision shapes, one each."""
        chosen = list(indices)
        rotation = from_quaternion(self._objects[chosen, 3:])
        low, high = self._bounds[chosen, 0], self._bounds[chosen, 1]
        center = self._objects[chosen, :3] + np.einsum("nij,nj->ni", rotation, (low + high) / 2)
        return Boxes(center, rotation, (high - low) / 2)

    def bottom(self, index: int) -> float:
        """World z of an object's lowest corner."""
        return float(self.boxes(index).corners()[..., 2].min())

    def center(self, index: int) -> Array:
        """[3] middle of an object's bounding box."""
        return self.boxes(index).center[0]


def _pose(values: Array) -> Pose:
    return Pose(values[:3], from_quaternion(values[3:]))
