"""An episode in the physics process, with the members of `env.PhysicsScene` that environments, renderer and experts read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sapien

from ....base import SimulationError
from ...contacts import Contact, Snapshot
from ...grid import EpisodeSetup
from ...rules import SuccessRule, make_rule
from ..cabinet import DRAWERS
from ..kinematics import as_pose
from ..robot import END_EFFECTOR, FINGERS, JOINTS
from ..scene import FINGER_LINKS
from .request import google_request

if TYPE_CHECKING:
    from .process import PhysicsProcess


@dataclass(frozen=True, slots=True)
class Body:
    """Pose of a body, which has the members of SAPIEN 3's that are read."""

    entity_pose: sapien.Pose
    corners: np.ndarray | None = None
    """[2, 3] least and greatest corner of its collision shapes in its own frame (m)."""

    @property
    def collision_shapes(self) -> tuple[Any, ...]:
        """One shape with the corners as vertices."""
        return (_Corners(self.corners),)


@dataclass(frozen=True, slots=True)
class _Corners:
    vertices: np.ndarray | None


@dataclass(frozen=True, slots=True)
class _Root:
    root_pose: sapien.Pose


@dataclass(frozen=True, slots=True)
class RemoteRobot:
    """Robot after the last control step."""

    state: Mapping[str, Any]
    joints = JOINTS
    fingers = FINGERS
    end_effector_link = END_EFFECTOR

    def qpos(self) -> np.ndarray:
        """[11] rad, in JOINTS order."""
        return np.array(self.state["qpos"])

    def qvel(self) -> np.ndarray:
        """[11] rad/s."""
        return np.array(self.state["qvel"])

    def end_effector(self) -> sapien.Pose:
        """End-effector pose in the frame of the root."""
        return as_pose(self.state["effector"])

    @property
    def links(self) -> dict[str, Body]:
        """Link -> its body."""
        return _links(self.state["links"][0])

    @property
    def body(self) -> _Root:
        """The articulation's root."""
        return _Root(as_pose(next(iter(self.state["links"][0].values()))))


@dataclass(frozen=True, slots=True)
class RemoteCabinet:
    """Drawers after the last control step."""

    state: Mapping[str, Any]

    @property
    def links(self) -> dict[str, Body]:
        """Link -> its body."""
        return _links(self.state["links"][1])

    def qpos(self) -> np.ndarray:
        """[3] travel of each drawer (m)."""
        return np.array(self.state["drawers"])


class RemoteScene:
    """Scene after the last control step; `scene.SimplerScene` describes the members."""

    robot_type: type[RemoteRobot] = RemoteRobot

    def __init__(self, names: list[str], bounds: list[Any], state: Mapping[str, Any]) -> None:
        self._names, self._bounds = names, [np.array(corners) for corners in bounds]
        self.update(state)

    def update(self, state: Mapping[str, Any]) -> None:
        """Take over the state after a control step."""
        self._state = state
        self.robot = self.robot_type(state)
        self.cabinet = RemoteCabinet(state) if state["drawers"] else None

    @property
    def objects(self) -> dict[str, Body]:
        """Model -> its body."""
        poses = zip(self._state["objects"], self._bounds, strict=True)
        return {name: Body(as_pose(pose), corners) for name, (pose, corners) in zip(self._names, poses, strict=True)}

    def contacts(self) -> list[Contact]:
        """Every pair of touching shapes of the last physics step."""
        return [Contact(first, second, np.array(impulse), part) for first, second, impulse, part in self._state["contacts"]]

    def snapshot(self) -> Snapshot:
        """State that success depends on."""
        return Snapshot(
            poses=np.array(self._state["objects"]).reshape(-1, 7),
            centres=np.array(self._state["centres"]).reshape(-1, 3),
            drawers=dict(zip(DRAWERS, self._state["drawers"], strict=False)),
            contacts=self.contacts() if self._names else (),
            openings=self._openings(),
        )

    def _openings(self) -> dict[str, np.ndarray]:
        """Finger and tip link -> [3] its opening direction (world)."""
        links = self.robot.links
        return {link: links[link].entity_pose.to_transformation_matrix()[:3, 1] for link in FINGER_LINKS}

    def state(self) -> np.ndarray:
        """float64: robot qpos and qvel (11 each), per object pose (7) and velocity (6), drawers qpos and qvel (3 each)."""
        state = self._state
        objects = [part for pair in zip(state["objects"], state["velocities"], strict=True) for part in pair]
        return np.concatenate([state["qpos"], state["qvel"], *objects, state["drawers"], state["drawer_speeds"]])


class RemoteEpisode:
    """One episode in the physics process, whatever the robot; `rule` is the subclass's."""

    scene_type: type[RemoteScene] = RemoteScene
    rule: SuccessRule

    def __init__(self, process: PhysicsProcess, setup: EpisodeSetup, request: dict[str, Any], joints: Sequence[str]) -> None:
        """Begin the episode; `joints`: names that the process must report, in order."""
        self.setup = setup
        self._process, self._answer = process, process.begin(request)
        if self._answer["joints"] != list(joints):
            raise SimulationError(f"the robot's joints are in the order {self._answer['joints']}, not {list(joints)}")
        names = [each["name"] for each in request["objects"]]
        self.scene = self.scene_type(names, self._answer["bounds"], self._answer["state"])
        self.now = self.scene.snapshot()
        """What the last control step, or the start, left: success and moments read the same snapshot."""
        self.ik_success = True

    @property
    def robot(self) -> RemoteRobot:
        """The robot."""
        return self.scene.robot

    def step(self, action: np.ndarray) -> bool:
        """Execute one control step; whether the task succeeds after it. Raises SimulationError if a number is not finite."""
        if not np.isfinite(action).all():
            raise SimulationError(f"the action has a number that is not finite: {action}")
        answer = self._process.step(np.asarray(action, np.float64).tolist())
        self.ik_success = answer["ik_success"]
        self.scene.update(answer["state"])
        if not np.isfinite(self.scene.state()).all():
            raise SimulationError("the simulation became unstable: a position or velocity is not finite")
        self.now = self.scene.snapshot()
        return self.rule.step(self.now)


class RemotePhysics(RemoteEpisode):
    """One episode of the Google robot; the counterpart of `env.PhysicsScene`."""

    def __init__(self, process: PhysicsProcess, pack: Path, setup: EpisodeSetup, qpos: np.ndarray, drawers: list[float]) -> None:
        """`qpos`: [11] rad, in JOINTS order. `drawers`: [3] travel (m) at the start."""
        super().__init__(process, setup, google_request(pack.absolute(), setup, qpos.tolist(), drawers), JOINTS)
        self.rule = make_rule(setup, _replace_poses(self.now, self._answer["settled"]))


def _replace_poses(snapshot: Snapshot, settled: list[list[float]]) -> Snapshot:
    """Upstream notes the can's height before the distractors fall."""
    return Snapshot(np.array(settled).reshape(-1, 7), snapshot.centres, snapshot.drawers, snapshot.contacts, snapshot.openings)


def _links(poses: Mapping[str, list[float]]) -> dict[str, Body]:
    return {name: Body(as_pose(pose)) for name, pose in poses.items()}
