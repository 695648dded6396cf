"""Upstream's WidowX in SAPIEN 2.2.2: reset and control steps. Runs in the interpreter of SAPIEN 2; syntax of Python 3.10.

As for the Google robot, the constructor's reset is repeated first; the evaluated one continues in its scene. Metres, radians.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .google import AWAY, sapien, turn
from .world import UPRIGHT, World, bounds, lock, pose7, release

LOCKED = (True,) * 6
GRIPPER_MIDDLE, GRIPPER_HALF = float(np.float32(0.026)), float((np.float32(0.038) - np.float32(0.014)) / 2)
"""Finger target (m) for command 0, and its change per unit; in upstream's precision."""


class WidowXEpisode:
    """One episode. The request's fields are described in `request_widowx.widowx_request`."""

    def __init__(self, engine: Any, request: Mapping[str, Any]) -> None:
        self.world = world = World(engine, hz=request["hz"], contact_offset=request["contact_offset"])
        self.robot = Robot(world, request["robot"], request["substeps"], absolute=request["absolute"])
        arena = request["arena"]
        world.add_arena(arena["stage"], arena["turn"], arena["place"])
        for each in request["objects"]:
            density, friction, damping = each["density"], each["friction"], each["damping"]
            world.add_object(each["name"], each["mesh"], density=density, friction=friction, damping=damping)
        self.sink = None
        if request["sink"]:
            sink = request["sink"]
            self.sink = world.add_object("sink", sink["mesh"], density=sink["density"], friction=sink["friction"], damping=None)
            del world.objects["sink"]  # fixed, hence no part of the state
        self.settled: list[list[float]] = []
        for number, reset in enumerate(request["resets"]):
            if number:
                world.stop()
            self._reset(reset, request["sink"])

    def _reset(self, reset: Mapping[str, Any], sink: Mapping[str, Any] | None) -> None:
        if self.sink is not None and sink:
            self.robot.body.set_pose(sapien.Pose(AWAY))
            self.sink.set_pose(sapien.Pose(sink["place"]))
            lock(self.sink, LOCKED)
        self._drop(list(self.world.objects.values()), reset["drops"])
        self.settled = [pose7(body.pose) for body in self.world.objects.values()]
        self.robot.reset(reset["qpos"])
        self.robot.body.set_pose(sapien.Pose(reset["base"][:3], reset["base"][3:]))

    def _drop(self, bodies: Sequence[Any], drops: Sequence[Sequence[float]]) -> None:
        """Let all objects fall together."""
        for body, pose in zip(bodies, drops, strict=True):
            body.set_pose(sapien.Pose(list(pose[:3]), list(pose[3:])))
            lock(body, UPRIGHT)
        self.robot.body.set_pose(sapien.Pose(AWAY))
        self.world.settle(0.5)
        for body in bodies:
            release(body)
        self.world.settle(0.5)
        self.world.settle_restless(bodies)

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
            "drawers": [],
            "drawer_speeds": [],
            "contacts": self.world.contacts(),
            "links": self.world.link_poses(),
        }


class Robot:
    """Robot with upstream's drives and its controller, whose target pose accumulates."""

    def __init__(self, world: World, request: Mapping[str, Any], substeps: int, *, absolute: bool) -> None:
        self._substeps, self._absolute = substeps, absolute
        self.body = body = world.add_articulation(request["urdf"], request["links"])
        joints = {joint.name: joint for joint in body.get_active_joints()}
        names = list(joints)
        self._arm, self._fingers = ([names.index(name) for name in request[part]] for part in ("arm", "fingers"))
        self._joints = list(joints.values())
        self._drives = [(joints[name], *values) for name, values in request["drives"].items()]
        links = {link.name: link for link in body.get_links()}
        self._effector, self._effector_link = list(links).index(request["effector"]), links[request["effector"]]
        for name, group in request["groups"].items():
            for shape in links[name].get_collision_shapes():
                shape.set_collision_groups(1, 1, group, 0)
        self._model = body.create_pinocchio_model()
        self._mask = np.zeros(body.dof, dtype=bool)
        self._mask[self._arm] = True
        self._set_drives()

    def reset(self, qpos: Sequence[float]) -> None:
        """Set joint positions, at rest; the target pose is where the end effector is."""
        body = self.body
        body.set_qpos(np.array(qpos))
        for clear in (body.set_qvel, body.set_qacc, body.set_qf):
            clear(np.zeros(body.dof))
        self._set_drives()
        self._target = self.effector_pose()

    def _set_drives(self) -> None:
        for joint, stiffness, damping, limit in self._drives:
            joint.set_drive_property(stiffness, damping, force_limit=limit, mode="force")
            joint.set_friction(0.0)

    def effector_pose(self) -> Any:
        """End-effector pose in the frame of the root."""
        return self.body.pose.inv().transform(self._effector_link.pose)

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
