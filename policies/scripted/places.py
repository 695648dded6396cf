"""Placements: how an object is brought to rest on or in the target of a goal's term.

Supports, rims and gaps are measured on collision shapes. What cannot be measured is a line in a table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from .geometry import LEVEL, UP, Array, Boxes, Pose, clearance, distance, exp, flat, norm
from .handles import opening_way
from .scene import SUPPORTS, Joint, LiberoScene

GAP = 0.005
"""Objects are let go this far above their support, m."""
FOOT = 0.02
"""Half side of the column in which a support is looked for, m."""
OVER = 0.06
"""Objects are lowered straight over this height, m."""
ROOM = 0.15
"""Room beside a thing beyond which more does not matter, m."""
DRAWER_FRONT, SLANT = 0.0445, 0.012
"""From a drawer's bar to the inside of its front; things are lowered into it from so much nearer to the front, m."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Point at which an object's origin is let go, and the way there."""

    origin: Array
    over: Array
    """From `origin` to the point from which the object is brought straight there (world)."""
    turn: float = 0.0
    """Angle by which the object is turned about the vertical on the way, rad."""
    tilt: Array = field(default_factory=lambda: np.zeros(3))
    """Rotation vector by which it is tilted then (world), rad."""

    def gripper(self, gripper: Pose, carried: Pose) -> Pose:
        """The gripper's pose when it lets go of an object that it now carries at a pose."""
        turn = exp(self.tilt) @ exp(self.turn * UP)
        return Pose(self.origin + turn @ (gripper.position - carried.position), turn @ gripper.rotation)

    def way(self, gripper: Pose, carried: Pose) -> list[Pose]:
        """The gripper's poses while it brings the object in, the last first."""
        end = self.gripper(gripper, carried)
        return [end.moved(part * self.over) for part in (0.0, 0.5, 1.0)]


@dataclass(frozen=True, slots=True)
class Inside:
    """A room that is entered from a side."""

    front: tuple[float, float]
    """Horizontal direction out of it, in the fixture's frame."""
    way: float
    """Length of the straight way in, m."""
    short: float
    """The object stays this far before the region's middle, m."""
    tilt: float = 0.0
    """The gripper leans in by this angle with its load, rad."""


ON_BOARD = Inside(front=(0.0, -1.0), way=0.2, short=0.03)
LEANED_IN = Inside(front=(0.0, -1.0), way=0.12, short=0.072, tilt=math.pi / 4)
"""A thing that is held from above goes in with its lower end only: where its origin is."""
INSIDE = {
    "any > microwave.heating_region": Inside(front=(0.0, -1.0), way=0.2, short=0.018),
    "any > wooden_two_layer_shelf.top_region": ON_BOARD,
    "any > wooden_two_layer_shelf.bottom_region": ON_BOARD,
    "black_book > wooden_two_layer_shelf.top_region": LEANED_IN,
    "yellow_book > wooden_two_layer_shelf.top_region": LEANED_IN,
    "yellow_book > wooden_two_layer_shelf.bottom_region": LEANED_IN,
}
"""How a region is entered from a side, see `LiberoScene.rule`."""
SPACING = {"basket": 0.03, "flat_stove": 0.05}
"""Class -> half the distance, along x, between two objects that share it, m."""
ALONG = {
    "black_book > desk_caddy": (0, 0),
    "black_book > wooden_two_layer_shelf.top_region": (0, 1),
    "yellow_book > wooden_two_layer_shelf.top_region": (0, 1),
    "yellow_book > wooden_two_layer_shelf.bottom_region": (0, 1),
}
"""The object's axis that comes to lie along an axis of the target, see `LiberoScene.rule`."""
NARROW = {"black_book > desk_caddy.front_contain_region": True}
"""Rooms hardly wider than the object: its middle, not its origin, is aligned, and it goes straight down from over the rim."""


def placement_for(scene: LiberoScene, instance: str, target: str) -> Placement:
    """Placement from which the object comes to rest on or in the target."""
    inside = scene.rule(INSIDE, instance, target)
    drawer = scene.joints(target) if scene.is_site(target) else []
    if drawer:
        return _in_drawer(scene, instance, drawer[0])
    if inside:
        return _in_room(scene, instance, target, inside)
    point = _middle(scene, instance, target) + _shared(scene, instance, target)
    solids = scene.boxes(without=(instance,))
    height = _rim(scene, target) if scene.kind(target) == "basket" else support(solids, point)
    turn = _turn(scene, instance, target)
    if not scene.rule(NARROW, instance, target):
        return Placement(_standing(scene, instance, point, height), OVER * UP, turn)
    point = point - exp(turn * UP) @ _off_center(scene, instance)
    return Placement(_standing(scene, instance, point, height), (_rim(scene, target) - height + GAP) * UP, turn)


def zone_points(scene: LiberoScene, zone: str) -> Array:
    """[9, 3] points of a zone of the table that are well inside it, its middle first."""
    part = scene.site(zone).rotation @ (0.6 * scene.site_half(zone))
    return scene.site(zone).position + part * [(x, y, 0.0) for x in (0.0, 1.0, -1.0) for y in (0.0, 1.0, -1.0)]


def support(solids: Boxes, point: Array) -> float:
    """Height of the highest solid under a point, or up to 6 cm over it; the point's own height where there is none."""
    column = Boxes((point - 0.5 * UP)[None], np.eye(3)[None], np.array([[FOOT, FOOT, 0.5 + OVER]]))
    under = clearance(column, solids)[0] < 0.0
    return float(solids.corners()[under][..., 2].max()) if under.any() else float(point[2])


def _middle(scene: LiberoScene, instance: str, target: str) -> Array:
    if not scene.is_site(target):
        return scene.pose(target).position
    if scene.has_body(scene.owner(target)):
        return scene.site(target).position
    return _roomiest(scene, instance, target)


def _roomiest(scene: LiberoScene, instance: str, zone: str) -> Array:
    """The point of a zone of the table that is farthest from what stands around."""
    points = zone_points(scene, zone)
    solids = scene.boxes(without=(instance, *SUPPORTS))
    above = points * LEVEL + scene.pose(instance).position * [0.0, 0.0, 1.0]
    room = distance(above, solids).min(1) if len(solids) else np.zeros(len(points))
    return points[int(np.argmax(np.minimum(room, ROOM)))]


def _shared(scene: LiberoScene, instance: str, target: str) -> Array:
    """Away from the other object that the goal puts there, each to the side on which it stands."""
    others = [term[1] for term in scene.goal if term[2:] == (target,) and term[1] != instance]
    if not others:
        return np.zeros(3)
    far = scene.pose(instance).position[0] > scene.pose(others[0]).position[0]
    return np.array([SPACING.get(scene.kind(target), 0.0) * (1.0 if far else -1.0), 0.0, 0.0])


def _rim(scene: LiberoScene, target: str) -> float:
    return float(scene.boxes(scene.owner(target)).corners()[..., 2].max())


def _standing(scene: LiberoScene, instance: str, point: Array, height: float) -> Array:
    """The origin over a point with the object's bottom a gap above a height."""
    bottom = float(scene.boxes(instance).corners()[..., 2].min())
    return np.array([point[0], point[1], height + GAP + scene.pose(instance).position[2] - bottom])


def _off_center(scene: LiberoScene, instance: str) -> Array:
    """Level way from an object's origin to the middle of its shape."""
    corners = scene.boxes(instance).corners().reshape(-1, 3)
    return ((corners.min(0) + corners.max(0)) / 2 - scene.pose(instance).position) * LEVEL


def _turn(scene: LiberoScene, instance: str, target: str) -> float:
    """The smaller turn about the vertical that lays an axis of the object along one of the target's."""
    axes = scene.rule(ALONG, instance, target)
    if axes is None:
        return 0.0
    own, other = scene.pose(instance).rotation[:, axes[0]], scene.pose(scene.owner(target)).rotation[:, axes[1]]
    angle = math.atan2(other[1], other[0]) - math.atan2(own[1], own[0])
    return (angle + math.pi / 2) % math.pi - math.pi / 2


def _in_room(scene: LiberoScene, instance: str, target: str, inside: Inside) -> Placement:
    front = scene.pose(scene.owner(target)).rotation @ np.array([*inside.front, 0.0])
    point = _middle(scene, instance, target) + inside.short * front
    floor = support(scene.boxes(without=(instance,)), point - 0.06 * UP)
    turn, tilt = _turn(scene, instance, target), inside.tilt * np.cross(UP, front)
    load = scene.boxes(instance).corners().reshape(-1, 3) - scene.pose(instance).position
    lower = load[:, 2].min() - (load @ (exp(tilt) @ exp(turn * UP)).T)[:, 2].min()
    return Placement(_standing(scene, instance, point, floor) + lower * UP, inside.way * front + 0.01 * UP, turn, tilt)


def _in_drawer(scene: LiberoScene, instance: str, joint: Joint) -> Placement:
    """In the middle of what is open to the sky between the cabinet and the drawer's front."""
    way, inside = opening_way(scene, joint), scene.body_boxes(joint.body)
    load = scene.boxes(instance).corners().reshape(-1, 3) - scene.pose(instance).position
    front = float((inside.corners() @ way).max()) - DRAWER_FRONT - float((load @ way).max())
    above = scene.boxes(scene.owner_of(joint)).corners()
    above = above[above[..., 2].max(1) > inside.corners()[..., 2].max() + 0.002]
    back = float((above @ way).max()) + float((-load @ way).max())
    middle = inside.center.mean(0)
    point = middle + (0.5 * (front + back) - middle @ way) * way
    point[2] = inside.corners()[..., 2].max()
    return Placement(_standing(scene, instance, point, support(inside, point)), 2 * OVER * UP + SLANT * way)


SLIDES = {"plate": 0.069}
"""Classes that are dragged to places on a table, by their edge -> radius, m."""
VIA_PARTS = (0.4, 0.6, 0.8)
"""Via points are tried at these parts of the straight way, ..."""
VIA_OFFSETS = np.linspace(-0.12, 0.12, 9)
"""... and so far to the side of it, m."""
VIA_COST = 0.02
"""Cost of a via point besides its length, m."""
CLEAR = 0.005
"""Room wanted beside neighbours, m."""
FAR_AWAY = 0.72
"""Level distance from the robot's base beyond which dragging is penalised, m."""
TROUBLE_COST = 10.0
"""Length that is gone round rather than be a metre too deep or too far, on the average of the way."""


def route(scene: LiberoScene, instance: str, zone: str) -> list[Array]:
    """The way of a round thing into a zone of the table, straight or by one via point, clear of what stands around."""
    start = scene.pose(instance).position
    routes: list[list[Array]] = []
    for goal in zone_points(scene, zone):
        side = np.cross(UP, flat(goal - start))
        routes.append([goal])
        routes += [[start + part * (goal - start) + offset * side, goal] for part in VIA_PARTS for offset in VIA_OFFSETS]
    solids = scene.boxes(without=(instance, *SUPPORTS))
    costs = [_length(start, points) for points in routes] + TROUBLE_COST * _trouble(scene, instance, routes, solids)
    return routes[int(np.argmin(costs))]


def _length(start: Array, points: list[Array]) -> float:
    legs = pairwise([start, *points])
    return VIA_COST * len(points) + sum(norm((end - begin) * LEVEL) for begin, end in legs)


def _trouble(scene: LiberoScene, instance: str, routes: list[list[Array]], solids: Boxes) -> Array:
    """[routes] how deep, on the average of each way, the thing runs into neighbours and the arm is stretched, m."""
    start = scene.pose(instance).position
    ways = np.array([[start, points[0], points[-1]] for points in routes])
    steps = np.linspace(0.0, 1.0, 6)[1:, None]
    middles = np.concatenate(
        [ways[:, :1] + steps * (ways[:, 1:2] - ways[:, :1]), ways[:, 1:2] + steps * (ways[:, 2:] - ways[:, 1:2])], axis=1
    )
    middles[..., 2] = start[2] + 0.01
    deep = np.clip(SLIDES[scene.kind(instance)] + CLEAR - distance(middles, solids).min(-1, initial=np.inf), 0.0, None)
    away = middles - scene.robot_base
    return (deep + np.clip(np.hypot(away[..., 0], away[..., 1]) - FAR_AWAY, 0.0, None)).mean(1)
