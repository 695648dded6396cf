"""Grasps: where a gripper takes an object of a class, as data, and the choice among the ways that are free.

A grasp style turns an object as it stands into `Option`s: gripper poses with a cost of their own. `choose` adds what the
surroundings cost (neighbours, reach, turning the wrist) and returns the cheapest. Costs are without unit; 1 is what a
quarter turn of the wrist costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .geometry import DOWN, UP, Array, Boxes, Pose, apart, exp, flat, frame, heading, norm, slab
from .gripper import (
    COMFORTABLE_REACH,
    FINGER_REACH,
    PAD_BEHIND,
    PAD_HALF,
    PARTED,
    TIP,
    flip_wrist_if_closer,
    gripper_clearance,
    stretch,
)
from .scene import SUPPORTS, LiberoScene

STRETCH_COST = 100.0
"""Cost of a metre beyond the comfortable reach."""
SHIFT_COST, LEAN_COST, INSET_COST, WIDTH_COST = 0.8, 2.0, 40.0, 60.0
"""Costs of half a side, of a radian, of a metre, of a metre."""
PREFERRED_CLOSING, TURN_COST = np.array([0.0, -1.0, 0.0]), 3.0
"""Preferred closing direction at a vessel's rim, world, and the cost of a quarter turn away from it. Demonstrations that take
different sides for differences that no image shows teach a policy the middle of both."""
CLOCKWISE_FACTOR = 2.0
"""Factor on the cost of a turn to the one side, clockwise from above: at equal costs the two sides would tie."""
YAWS, RIM_POINTS = 24, 24
"""Directions that are tried."""
HANDLE_CLEAR = 0.6
"""Cosine of the angle that a rim grasp keeps from a handle."""
BATCH = 24
"""Options whose surroundings are looked at together."""
TIP_CLEAR = 0.003
"""The fingertips stay this far above what the thing stands on, m."""
APPROACH = (0.0, 0.05, 0.1)
"""Distances before the grasp at which the gripper's room is looked at, m."""
WIDEST_GRASP = 0.072
"""Widest thing that the open fingers are put around, m."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to take an object: the gripper's pose when it closes."""

    pose: Pose
    cost: float = 0.0


class GraspStyle(Protocol):
    """A kind of grasp with its numbers."""

    def options(self, scene: LiberoScene, instance: str) -> list[Option]:
        """All ways that this style knows for the instance as it stands."""
        ...


@dataclass(frozen=True, slots=True)
class Top:
    """From above, across the narrowest width at the height of the pads."""

    depth: float = 0.026
    """Grip site below the object's top, m."""
    deepest: float = 0.6
    """At most this part of the object's height."""
    slab: float = PAD_HALF
    """Half height of the part whose width counts, m."""
    shifts: tuple[float, ...] = (0.0, -0.35, 0.35, -0.65, 0.65)
    """Tried positions along the long side, in parts of its half."""
    leans: tuple[float, ...] = (0.0, -0.3, 0.3)
    """Tried leans over the closing axis, rad."""
    closing: int | None = None
    """The object's axis along which the fingers close, where only one will do."""

    def options(self, scene: LiberoScene, instance: str) -> list[Option]:
        """Every 7.5 degrees of yaw, from an axis of the object on, at which the fingers fit, with shifts and leans."""
        return self.across(scene.boxes(instance), scene.pose(instance))

    def across(self, boxes: Boxes, stand: Pose) -> list[Option]:
        """The same for any boxes of a body that stands at a pose."""
        heights = boxes.corners()[..., 2]
        bottom, top = float(heights.min()), float(heights.max())
        height = max(top - min(self.depth, self.deepest * (top - bottom)), bottom + TIP + TIP_CLEAR)
        leans = [lean for lean in self.leans if height - bottom > TIP + TIP_CLEAR + FINGER_REACH * math.sin(abs(lean))] or [0.0]
        points = slab(boxes, height - self.slab, height + self.slab)
        widths = {angle: _extent(points, heading(angle)) for angle in self._yaws(stand)}
        narrowest = min(high - low for low, high in widths.values())
        widest = max(narrowest + 1e-6, min(narrowest + 0.004, WIDEST_GRASP))
        out: list[Option] = []
        for angle, (low, high) in widths.items():
            if high - low < widest:
                out += self._at(points, height, angle, (low + high) / 2, WIDTH_COST * (high - low - narrowest), leans)
        return out

    def _yaws(self, stand: Pose) -> list[float]:
        axis = int(np.argmin(np.abs(stand.rotation[2]))) if self.closing is None else self.closing
        first = math.atan2(stand.rotation[1, axis], stand.rotation[0, axis])
        return [first + turn * math.pi / YAWS for turn in (range(YAWS) if self.closing is None else (-1, 0, 1))]

    def _at(self, points: Array, height: float, angle: float, middle: float, cost: float, leans: Sequence[float]) -> list[Option]:
        closing, along = heading(angle), heading(angle + math.pi / 2)
        low, high = _extent(points, along)
        out = []
        for shift in self.shifts:
            level = closing * middle + along * ((low + high) / 2 + shift * (high - low) / 2)
            for lean in leans:
                approach = exp(along * lean) @ DOWN
                pose = Pose(np.array([level[0], level[1], height]), frame(approach, exp(along * lean) @ closing))
                out.append(Option(pose, cost + SHIFT_COST * abs(shift) + LEAN_COST * abs(lean)))
        return out


@dataclass(frozen=True, slots=True)
class Rim:
    """From above, around the wall of a round vessel: one finger inside, closing axis radial."""

    radius: float
    """Radius of the wall's middle at the height of the pads, m."""
    height: float
    """Height of the rim above the object's origin, m."""
    depth: float
    """Grip site below the rim, m."""
    axis: tuple[float, float] = (0.0, 0.0)
    """Offset of the vessel's axis from its origin, in the object's frame, m."""
    handle: float | None = None
    """Direction of a handle from the axis, in the object's frame, rad."""
    leans: tuple[float, ...] = (0.0, -0.25, 0.25, -0.42, 0.42)
    """Tried leans about the closing axis, rad."""
    insets: tuple[float, ...] = (0.0, 0.010, 0.018)
    """Shifts towards the axis that are tried, m: the outer finger then pulls the vessel to the middle."""

    def options(self, scene: LiberoScene, instance: str) -> list[Option]:
        """Every 15 degrees around the rim, away from the handle, with leans."""
        angles = np.arange(RIM_POINTS) * (2 * math.pi / RIM_POINTS)
        clear = [angle for angle in angles if self.handle is None or math.cos(angle - self.handle) < HANDLE_CLEAR]
        stand = self._seen(scene.pose(instance))
        return [self._at(stand, angle, lean, inset) for angle in clear for lean in self.leans for inset in self.insets]

    def _seen(self, stand: Pose) -> Pose:
        """The pose without what cannot be seen of a vessel without a handle: how far it is turned about its axis."""
        if self.handle is not None:
            return stand
        turned = math.atan2(stand.rotation[1, 0], stand.rotation[0, 0])
        return Pose(stand.position, stand.rotation @ exp(-turned * UP))

    def _at(self, stand: Pose, angle: float, lean: float, inset: float) -> Option:
        point = np.array([*self.axis, self.height]) + (self.radius - inset) * heading(angle)
        closing = flat(stand.rotation @ heading(angle))
        pose = Pose(stand.place(point) - self.depth * UP, frame(exp(closing * lean) @ DOWN, closing))
        away = math.acos(float(np.clip(closing @ PREFERRED_CLOSING, -1.0, 1.0)))
        away *= CLOCKWISE_FACTOR if np.cross(PREFERRED_CLOSING, closing)[2] < 0.0 else 1.0
        return Option(pose, LEAN_COST * abs(lean) + INSET_COST * inset + TURN_COST * away / (math.pi / 2))


@dataclass(frozen=True, slots=True)
class Handle:
    """Across a vessel's handle with the gripper leaned outwards, so that the vessel can go where the gripper cannot."""

    point: tuple[float, float, float]
    """Point at which the pads close, in the object's frame, m."""
    lean: float
    """Angle of the gripper from the vertical, rad."""

    def options(self, scene: LiberoScene, instance: str) -> list[Option]:
        """The one way."""
        stand = scene.pose(instance)
        inward = -flat(stand.rotation @ np.array([self.point[0], self.point[1], 0.0]))
        approach = math.sin(self.lean) * inward + math.cos(self.lean) * DOWN
        position = stand.place(np.array(self.point)) + PAD_BEHIND * approach
        return [Option(Pose(position, frame(approach, np.cross(UP, inward))))]


def _extent(points: Array, direction: Array) -> tuple[float, float]:
    along = points @ direction
    return float(along.min()), float(along.max())


def choose(
    scene: LiberoScene,
    options: Sequence[Option],
    instance: str,
    carried: Callable[[Pose], list[Pose]] | None = None,
    tried: Sequence[Pose] = (),
) -> Pose:
    """The cheapest option, its closing axis signed for the smaller turn of the wrist.

    Args:
        scene: as it is now.
        options: what a grasp style offers.
        instance: the thing to take; its own shape is not in the way.
        carried: from the gripper's pose here to its poses on the way to where the thing is let go; it must have room there, too.
        tried: earlier grasps that failed; options near them cost more.
    """
    solids = scene.boxes(without=(instance, *SUPPORTS))
    poses = [flip_wrist_if_closer(option.pose, scene.gripper, scene.robot_base) for option in options]
    costs = np.array(
        [
            option.cost + _effort(scene, pose, carried) + sum(_similarity(pose, old) for old in tried)
            for option, pose in zip(options, poses, strict=True)
        ]
    )
    order = np.argsort(costs, kind="stable")
    best, least = order[0], np.inf
    for batch in np.array_split(order, range(BATCH, len(order), BATCH)):  # crowding only adds: stop once it cannot pay
        if costs[batch[0]] > least:
            break
        room = _room([poses[index] for index in batch], solids, carried)
        total = costs[batch] + [_clutter(float(gap)) for gap in room]
        if total.min() < least:
            best, least = batch[int(total.argmin())], float(total.min())
    return poses[best]


def _room(poses: list[Pose], solids: Boxes, carried: Callable[[Pose], list[Pose]] | None) -> Array:
    """Room of the gripper at and before each pose, and where it lets go."""
    room = [gripper_clearance([pose.backed(back) for pose in poses], solids) for back in APPROACH]
    if carried is not None:
        ways = zip(*[carried(pose) for pose in poses], strict=True)
        room += [gripper_clearance(stations, solids, PARTED) for stations in ways]
    return np.min(room, axis=0)


def _clutter(gap: float) -> float:
    """Nothing with 12 mm to spare, more with less, very much in contact."""
    return 0.0 if gap > 0.012 else 1.5 * (1.0 - gap / 0.012) + (10.0 - 400.0 * gap if gap < 0.002 else 0.0)


def _effort(scene: LiberoScene, pose: Pose, carried: Callable[[Pose], list[Pose]] | None) -> float:
    """Cost of turning the wrist there and of stretching the arm there or where it lets go."""
    turn = apart(pose.rotation, scene.gripper.rotation)
    ends = [pose] if carried is None else [pose, *carried(pose)]
    reach = max(stretch(end, scene.robot_base) for end in ends)
    return turn / (math.pi / 2) + STRETCH_COST * max(0.0, reach - COMFORTABLE_REACH)


def _similarity(pose: Pose, tried: Pose) -> float:
    """2 for the same grasp, less the more it differs in place (1 cm) or direction (0.3 rad)."""
    unlike = norm(pose.position - tried.position) / 0.01 + apart(pose.rotation, tried.rotation) / 0.3
    return 2.0 * math.exp(-unlike)


TOP = Top()
CARTON = Top(closing=2)
"""Across the sides that the fold at its top does not overhang: under the fold, an opening finger catches."""

GRASPS: dict[str, GraspStyle] = {
    "akita_black_bowl": Rim(radius=0.049, height=0.052, depth=0.018),
    "white_bowl": Rim(radius=0.0395, height=0.0353, depth=0.013),
    "porcelain_mug": Rim(radius=0.0435, height=0.1085, depth=0.020, axis=(0.0125, 0.0), handle=math.pi),
    "white_yellow_mug": Rim(radius=0.048, height=0.103, depth=0.020, axis=(-0.018, 0.0), handle=0.0),
    "red_coffee_mug": Rim(radius=0.036, height=0.131, depth=0.014, axis=(-0.0186, -0.003), handle=0.0, insets=(0.0,)),
    "milk": CARTON,
    "orange_juice": CARTON,
    "white_yellow_mug > microwave": Handle(point=(0.058, 0.0, 0.056), lean=0.96),
    "plate": Rim(radius=0.058, height=0.016, depth=0.006, leans=(0.0,)),
    "wine_bottle": Top(depth=0.030, shifts=(0.0,), leans=(0.0,)),
    "moka_pot": Top(depth=0.009, slab=0.005, shifts=(0.0,), leans=(0.0,)),
    "black_book": Top(depth=0.030, leans=(0.0,)),
    "black_book > desk_caddy.front_contain_region": Top(depth=0.013, leans=(0.0,)),  # the gripper stays above the back wall
    "yellow_book": Top(depth=0.030, leans=(0.0,)),
}
"""How a class is taken, see `LiberoScene.rule`; `TOP` where it is not named."""


def style_of(scene: LiberoScene, instance: str, target: str = "") -> GraspStyle:
    """The grasp style of an instance's class, for where it is to go."""
    return scene.rule(GRASPS, instance, target) or TOP
