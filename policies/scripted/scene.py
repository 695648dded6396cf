"""The scene as the expert reads it from an environment's privileged state: poses, solids and the goal.

Frames: world, metres, radians. An *instance* is an object or fixture by its BDDL name (`plate_1`); its *origin* is
the origin of its root body, which LIBERO's predicates test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .geometry import Array, Boxes, Pose, from_quaternion

T = TypeVar("T")

ROBOT_PREFIXES = ("robot0_", "gripper0_", "mount0_")
FINGERS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
FINGER_BODIES = (
    ("gripper0_leftfinger", "gripper0_finger_joint1_tip"),
    ("gripper0_rightfinger", "gripper0_finger_joint2_tip"),
)
"""Each finger and its pad."""
SUPPORTS = ("table", "floor", "living_room_table", "study_table")
"""Bodies that everything stands on."""
SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX = 2, 3, 4, 5, 6
"""MuJoCo's codes of the geom types that are taken as solid; planes and meshes are not."""


@dataclass(frozen=True, slots=True)
class Joint:
    """A sliding or turning joint of a fixture."""

    sliding: bool
    address: int
    body: int
    axis: Array
    """In the body's frame."""
    range: tuple[float, float]


class LiberoScene:
    """One episode's scene: facts from its first observation, poses from its latest (see `update`)."""

    def __init__(self, view: Mapping[str, Any]) -> None:
        facts = view["scene"]
        self.classes: dict[str, str] = {**facts["fixtures"], **facts["objects"]}
        self.goal: list[tuple[str, ...]] = [tuple(term) for term in facts["goal"]]
        self.regions: dict[str, str] = dict(facts["regions"])
        self.robot_base = np.asarray(facts["robot_base"], dtype=float)
        self._bodies = {name: index for index, name in enumerate(facts["bodies"])}
        self._sites = {name: index for index, name in enumerate(facts["sites"])}
        self._site_body = np.asarray(facts["site_body"])
        self._site_size = np.asarray(facts["site_size"], dtype=float)
        self._gripper_site = self._sites[facts["eef_site"]]
        self._joints = {joint[0]: _joint(*joint[1:]) for joint in facts["joints"] if joint[1] in ("slide", "hinge")}
        self._finger_addresses = [self._joints[name].address for name in FINGERS]
        self._body_parent = list(facts["body_parent"])
        self._body_owner = [self._owner(index, facts["bodies"]) for index in range(len(facts["bodies"]))]
        self._read_solids(facts["geoms"])
        self.update(view)

    def update(self, view: Mapping[str, Any]) -> None:
        """Take over the poses of the latest observation."""
        self._body_pose = np.asarray(view["body_pose"])
        self._site_pos = np.asarray(view["site_pos"])
        self._site_mat = np.asarray(view["site_mat"])
        self._qpos = np.asarray(view["qpos"])
        self._contacts = np.asarray(view["contacts"]).reshape(-1, 2)
        self.gripper = Pose(self._site_pos[self._gripper_site], self._site_mat[self._gripper_site].reshape(3, 3))
        left, right = self._qpos[self._finger_addresses]
        self.opening = float(left - right)
        """Distance between the fingers' pads; 0.08 when open."""

    def pose(self, instance: str) -> Pose:
        """Pose of an object or fixture."""
        return self.body(f"{instance}_main")

    def body(self, name: str) -> Pose:
        """Pose of a body, by its full name."""
        return self._body_at(self._bodies[name])

    def _body_at(self, index: int) -> Pose:
        return Pose(self._body_pose[index, :3], from_quaternion(self._body_pose[index, 3:]))

    def site(self, name: str) -> Pose:
        """Pose of a site, by its full name."""
        index = self._sites[name]
        return Pose(self._site_pos[index], self._site_mat[index].reshape(3, 3))

    def site_half(self, name: str) -> Array:
        """Half sizes of a site's box, in its own frame."""
        return self._site_size[self._sites[name]]

    def has_body(self, instance: str) -> bool:
        """Whether an instance is a thing with a root body of its own (tables and floors are not)."""
        return f"{instance}_main" in self._bodies

    def is_site(self, name: str) -> bool:
        """Whether a BDDL argument is a region with a site."""
        return name in self._sites

    def owner(self, name: str) -> str:
        """The instance that a BDDL argument belongs to: a region's parent, or the instance itself."""
        return self.regions.get(name, name)

    def kind(self, name: str) -> str:
        """Class of the argument's instance, e.g. `wooden_cabinet`."""
        return self.classes.get(self.owner(name), "")

    def place_kind(self, name: str) -> str:
        """Class and region of a BDDL argument, e.g. `desk_caddy.front_contain_region`; of an instance its class."""
        owner = self.owner(name)
        return self.kind(name) + (f".{name.removeprefix(f'{owner}_')}" if owner != name else "")

    def rule(self, table: Mapping[str, T], instance: str, target: str) -> T | None:
        """The most specific entry of a table for an instance that goes to a target.

        Keys of the table: `class > class of the target.region`, `class > class of the target`, `class`, `any > ...region`.
        """
        kind, place = self.kind(instance), self.place_kind(target)
        keys = (f"{kind} > {place}", f"{kind} > {self.kind(target)}", kind, f"any > {place}")
        return next((table[key] for key in keys if key in table), None)

    def joints(self, name: str) -> list[Joint]:
        """Joints of a region's own body, or all joints of a fixture."""
        if self.is_site(name):
            body = int(self._site_body[self._sites[name]])
            return [joint for joint in self._joints.values() if joint.body == body]
        return [joint for joint in self._joints.values() if self._body_owner[joint.body] == name]

    def owner_of(self, joint: Joint) -> str:
        """The fixture that a joint belongs to."""
        return self._body_owner[joint.body]

    def angle(self, joint: Joint) -> float:
        """A joint's present value (m or rad)."""
        return float(self._qpos[joint.address])

    def joint_pose(self, joint: Joint) -> Pose:
        """Pose of the joint's body."""
        return self._body_at(joint.body)

    def boxes(self, *only: str, without: Sequence[str] = ()) -> Boxes:
        """Collision shapes of the named instances (default: of everything but the robot), as boxes in the world."""
        wanted = np.array([(not only or owner in only) and owner not in without for owner in self._solid_owner], dtype=bool)
        return self._solids_at(wanted)

    def body_boxes(self, body: int) -> Boxes:
        """Collision shapes of one body, as boxes in the world."""
        return self._solids_at(self._solid_body == body)

    def _solids_at(self, wanted: Array) -> Boxes:
        poses = self._body_pose[self._solid_body[wanted]]
        turn = from_quaternion(poses[:, 3:])
        center = poses[:, :3] + np.einsum("nij,nj->ni", turn, self._solids.center[wanted])
        return Boxes(center, turn @ self._solids.rotation[wanted], self._solids.half[wanted])

    def touching(self, a: str, b: str) -> bool:
        """Whether two instances touch with their collision shapes, as LIBERO's predicates ask."""
        owners = self._geom_owner[self._contacts]
        solid = self._geom_group[self._contacts].max(1, initial=0) == 0
        met = ((owners[:, 0] == a) & (owners[:, 1] == b)) | ((owners[:, 0] == b) & (owners[:, 1] == a))
        return bool((met & solid).any())

    def held(self, instance: str) -> bool:
        """Whether both fingers touch an instance."""
        other = self._geom_owner[self._contacts][:, ::-1] == instance
        bodies = self._geom_body[self._contacts]
        fingers = [np.isin(bodies, [self._bodies[name] for name in finger]) for finger in FINGER_BODIES]
        return all(bool((finger & other).any()) for finger in fingers)

    def _owner(self, body: int, names: Sequence[str]) -> str:
        """The instance that a body belongs to; empty for the robot and the world."""
        while self._body_parent[body] != 0 and body != 0:
            body = self._body_parent[body]
        name = names[body]
        return "" if body == 0 or name.startswith(ROBOT_PREFIXES) else name.removesuffix("_main")

    def _read_solids(self, geoms: Mapping[str, Any]) -> None:
        body, kind, size = np.asarray(geoms["body"]), np.asarray(geoms["type"]), np.asarray(geoms["size"], dtype=float)
        self._geom_body = body
        self._geom_owner = np.array([self._body_owner[index] for index in body])
        self._geom_group = np.asarray(geoms["group"])
        touchable = (np.asarray(geoms["contype"]) != 0) | (np.asarray(geoms["conaffinity"]) != 0)
        solid = touchable & (self._geom_owner != "") & np.isin(kind, (SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX))
        half = np.array([_half_sizes(int(k), s) for k, s in zip(kind[solid], size[solid], strict=True)]).reshape(-1, 3)
        position, quaternion = np.asarray(geoms["pos"])[solid], np.asarray(geoms["quat"])[solid]
        self._solids = Boxes(position, from_quaternion(quaternion), half)
        self._solid_body = body[solid]
        self._solid_owner = self._geom_owner[solid]


def _joint(kind: str, address: int, _: int, body: int, axis: Sequence[float], limits: Sequence[float]) -> Joint:
    return Joint(kind == "slide", int(address), int(body), np.asarray(axis, dtype=float), (float(limits[0]), float(limits[1])))


def _half_sizes(kind: int, size: Array) -> Array:
    """Half sizes of the box around a geom."""
    if kind == SPHERE:
        return np.full(3, size[0])
    if kind == CYLINDER:
        return size[[0, 0, 1]]
    if kind == CAPSULE:
        return np.array([size[0], size[0], size[0] + size[1]])
    return size
