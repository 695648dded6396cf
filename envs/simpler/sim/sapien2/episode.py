"""Parts of an episode in SAPIEN 2.2.2 common to the robots. Runs in the interpreter of SAPIEN 2; syntax of Python 3.10.

Metres, radians, seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .world import UPRIGHT, World, bounds, lock, pose7, release

sapien: Any = import_module("sapien.core")
"""SAPIEN 2.2.2; untyped, because type checkers find SAPIEN 3."""
AWAY = (-10.0, 0.0, 0.0)
"""Position of the robot while objects settle."""


class Robot:
    """Robot with upstream's drives."""

    def __init__(self, world: World, request: Mapping[str, Any]) -> None:
        self.body = body = world.add_articulation(request["urdf"], request["links"])
        joints = {joint.name: joint for joint in body.get_active_joints()}
        names = list(joints)
        self._arm, self._fingers = ([names.index(name) for name in request[part]] for part in ("arm", "fingers"))
        self._drives = [(joints[name], *values) for name, values in request["drives"].items()]
        self._joints = list(joints.values())
        links = {link.name: link for link in body.get_links()}
        self._effector, self._effector_link = list(links).index(request["effector"]), links[request["effector"]]
        self._model = body.create_pinocchio_model()
        self._mask = np.zeros(body.dof, dtype=bool)
        self._mask[self._arm] = True
        self._set_drives()

    def reset(self, qpos: Sequence[float]) -> None:
        """Set joint positions, at rest."""
        body = self.body
        body.set_qpos(np.array(qpos))
        for clear in (body.set_qvel, body.set_qacc, body.set_qf):
            clear(np.zeros(body.dof))
        self._set_drives()

    def _set_drives(self) -> None:
        for joint, stiffness, damping, limit in self._drives:
            joint.set_drive_property(stiffness, damping, force_limit=limit, mode="force")
            joint.set_friction(0.0)

    def effector_pose(self) -> Any:
        """End-effector pose in the frame of the root."""
        return self.body.pose.inv().transform(self._effector_link.pose)


class Episode:
    """One episode: surroundings and objects of the request, and its state. Subclasses set `robot` and reset."""

    cabinet: Any = None
    settled: Sequence[Sequence[float]] = ()

    def __init__(self, world: World, robot: Any, request: Mapping[str, Any]) -> None:
        """Add surroundings and objects after `robot` (a `Robot` with `step`): the solver's results depend on the order."""
        self.world, self.robot = world, robot
        arena = request["arena"]
        world.add_arena(arena["stage"], arena["turn"], arena["place"])
        for each in request["objects"]:
            density, friction, damping = each["density"], each["friction"], each["damping"]
            world.add_object(each["name"], each["mesh"], density=density, friction=friction, damping=damping)

    def _drop_together(self, bodies: Sequence[Any], drops: Sequence[Sequence[float]]) -> None:
        """Let all objects fall together, the robot out of the way."""
        for body, pose in zip(bodies, drops, strict=True):
            body.set_pose(sapien.Pose(pose[:3], pose[3:]))
            lock(body, UPRIGHT)
        self.robot.body.set_pose(sapien.Pose(AWAY))
        self.world.settle(0.5)
        for body in bodies:
            release(body)
        self.world.settle(0.5)
        self.world.settle_restless(bodies)

    def _place_robot(self, reset: Mapping[str, Any]) -> None:
        self.robot.reset(reset["qpos"])
        self.robot.body.set_pose(sapien.Pose(reset["base"][:3], reset["base"][3:]))

    def facts(self) -> dict[str, Any]:
        """Constants of the episode: names of the joints, collision bounds and settled poses of the objects."""
        joints = [joint.name for joint in self.robot.body.get_active_joints()]
        return {"joints": joints, "bounds": [bounds(actor) for actor in self.world.objects.values()], "settled": self.settled}

    def step(self, action: Sequence[float]) -> dict[str, Any]:
        """Execute one control step; the facts of its inverse kinematics."""
        return {"ik_success": self.robot.step(np.array(action), self.world.scene)}

    def state(self) -> dict[str, Any]:
        """State after the last physics step."""
        robot, actors = self.robot.body, self.world.objects.values()
        return {
            "qpos": robot.get_qpos().tolist(),
            "qvel": robot.get_qvel().tolist(),
            "effector": pose7(self.robot.effector_pose()),
            "objects": [pose7(actor.pose) for actor in actors],
            "velocities": [[*actor.velocity.tolist(), *actor.angular_velocity.tolist()] for actor in actors],
            "centres": [(actor.pose * actor.cmass_local_pose).p.tolist() for actor in actors],
            "drawers": self.cabinet.get_qpos().tolist() if self.cabinet else [],
            "drawer_speeds": self.cabinet.get_qvel().tolist() if self.cabinet else [],
            "contacts": self.world.contacts(),
            "links": self.world.link_poses(),
        }
