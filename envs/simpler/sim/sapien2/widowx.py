"""Upstream's WidowX in SAPIEN 2.2.2: reset and control steps. Runs in the interpreter of SAPIEN 2; syntax of Python 3.10.

As for the Google robot, the constructor's reset is repeated first; the evaluated one continues in its scene. Metres, radians.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import episode
from .episode import AWAY, Episode, sapien
from .google import turn
from .world import World, lock, pose7

LOCKED = (True,) * 6
GRIPPER_MIDDLE, GRIPPER_HALF = float(np.float32(0.026)), float((np.float32(0.038) - np.float32(0.014)) / 2)
"""Finger target (m) for command 0, and its change per unit; in upstream's precision."""


class WidowXEpisode(Episode):
    """One episode. The request's fields are described in `request_widowx.widowx_request`."""

    def __init__(self, engine: Any, request: Mapping[str, Any]) -> None:
        world = World(engine, hz=request["hz"], contact_offset=request["contact_offset"])
        robot = Robot(world, request["robot"], request["substeps"], absolute=request["absolute"])
        super().__init__(world, robot, request)
        self.sink = None
        if request["sink"]:
            sink = request["sink"]
            self.sink = world.add_object("sink", sink["mesh"], density=sink["density"], friction=sink["friction"], damping=None)
            del world.objects["sink"]  # fixed, hence no part of the state
        for number, reset in enumerate(request["resets"]):
            if number:
                world.stop()
            self._reset(reset, request["sink"])

    def _reset(self, reset: Mapping[str, Any], sink: Mapping[str, Any] | None) -> None:
        if self.sink is not None and sink:
            self.robot.body.set_pose(sapien.Pose(AWAY))
            self.sink.set_pose(sapien.Pose(sink["place"]))
            lock(self.sink, LOCKED)
        self._drop_together(list(self.world.objects.values()), reset["drops"])
        self.settled = [pose7(body.pose) for body in self.world.objects.values()]
        self._place_robot(reset)


class Robot(episode.Robot):
    """The WidowX with its controller, whose target pose accumulates."""

    def __init__(self, world: World, request: Mapping[str, Any], substeps: int, *, absolute: bool) -> None:
        super().__init__(world, request)
        self._substeps, self._absolute = substeps, absolute
        links = {link.name: link for link in self.body.get_links()}
        for name, group in request["groups"].items():
            for shape in links[name].get_collision_shapes():
                shape.set_collision_groups(1, 1, group, 0)

    def reset(self, qpos: Sequence[float]) -> None:
        """Set joint positions, at rest; the target pose is where the end effector is."""
        super().reset(qpos)
        self._target = self.effector_pose()

    def step(self, action: np.ndarray, scene: Any) -> bool:
        """Execute one control step; whether the inverse kinematics succeeded."""
        body, position = self.body, self.body.get_qpos()
        self._model.compute_forward_kinematics(position)
        pivot = self._model.get_link_pose(self._effector).p  # upstream's; micrometres from the link's own pose
        delta = sapien.Pose(action[:3], turn(action[3:6]))
        self._target = delta if self._absolute else sapien.Pose(pivot) * delta * sapien.Pose((-pivot).tolist()) * self._target
        solved, success, _ = self._model.compute_inverse_kinematics(
            self._effector, self._target, initial_qpos=position, active_qmask=self._mask, max_iterations=100
        )
        targets = np.array(solved if success else position)
        targets[self._fingers] = finger_target(float(action[6]))
        for joint, target in zip(self._joints, targets.tolist(), strict=True):
            joint.set_drive_target(target)
        passive, push, advance = body.compute_passive_force, body.set_qf, scene.step
        for _ in range(self._substeps):
            push(passive(external=False))
            advance()
        return bool(success)


def finger_target(command: float) -> float:
    """Target of both fingers (m) for a command, which is clipped to -1..1; > 0 opens."""
    return GRIPPER_MIDDLE + GRIPPER_HALF * min(1.0, max(-1.0, command))
