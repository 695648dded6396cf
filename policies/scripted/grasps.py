"""Grasps: where a hand takes an object of a class, as data, and the choice among the ways that are free.

A grasp style turns an object as it stands into `Option`s: hand poses with a cost of their own. `choose` adds what the
surroundings cost (neighbours, reach, turning the wrist) and returns the cheapest. Costs are without unit; 1 is what a
quarter turn of the wrist costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .geometry import DOWN, Array, Pose, exp, frame, heading, log, norm, slab
from .hand import COMFORTABLE_REACH, TIP, WIDEST, hand_clearance, stretch
from .scene import Scene

PAD_HALF = 0.008
"""Half height of the fingers' pads, m."""
YAWS = 24
BATCH = 24
"""Options whose surroundings are looked at together."""
WIDEST_GRASP = 0.072
"""Widest thing that the open fingers are put around, m."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to take an object: the hand's pose when it closes."""

    pose: Pose
    cost: float = 0.0


class Style(Protocol):
    """A kind of grasp with its numbers."""

    def options(self, scene: Scene, instance: str) -> list[Option]:
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

    def options(self, scene: Scene, instance: str) -> list[Option]:
        """Every 7.5 degrees of yaw at which the fingers fit, with shifts and leans."""
        boxes = scene.boxes(instance)
        heights = boxes.corners()[..., 2]
        bottom, top = float(heights.min()), float(heights.max())
        height = max(top - min(self.depth, self.deepest * (top - bottom)), bottom + TIP + 0.003)
        points = slab(boxes, height - self.slab, height + self.slab)
        widths = {angle: _extent(points, heading(angle)) for angle in np.arange(YAWS) * (math.pi / YAWS)}
        narrowest = min(high - low for low, high in widths.values())
        out: list[Option] = []
        for angle, (low, high) in widths.items():
            if high - low < min(narrowest + 0.004, WIDEST_GRASP):
                out += self._at(points, height, angle, (low + high) / 2, 60.0 * (high - low - narrowest))
        return out

    def _at(self, points: Array, height: float, angle: float, middle: float, cost: float) -> list[Option]:
        closing, along = heading(angle), heading(angle + math.pi / 2)
        low, high = _extent(points, along)
        out = []
        for shift in self.shifts:
            level = closing * middle + along * ((low + high) / 2 + shift * (high - low) / 2)
            for lean in self.leans:
                approach = exp(along * lean) @ DOWN
                pose = Pose(np.array([level[0], level[1], height]), frame(approach, exp(along * lean) @ closing))
                out.append(Option(pose, cost + 0.8 * abs(shift) + 2.0 * abs(lean)))
        return out


def _extent(points: Array, direction: Array) -> tuple[float, float]:
    along = points @ direction
    return float(along.min()), float(along.max())


def choose(scene: Scene, instance: str, options: Sequence[Option], tried: Sequence[Pose] = ()) -> Pose:
    """The cheapest option, its closing axis signed for the smaller turn of the wrist.

    Options near one that was tried before cost more, so that a second grasp is another one.
    """
    solids = scene.boxes(without=(instance,))
    poses = [_nearer_half(option.pose, scene.hand) for option in options]
    costs = np.array(
        [
            option.cost + _effort(scene, pose) + sum(_likeness(pose, old) for old in tried)
            for option, pose in zip(options, poses, strict=True)
        ]
    )
    order = np.argsort(costs, kind="stable")
    best, least = order[0], np.inf
    for batch in np.array_split(order, range(BATCH, len(order), BATCH)):  # crowding only adds: stop once it cannot pay
        if costs[batch[0]] > least:
            break
        room = hand_clearance([poses[index] for index in batch], solids, WIDEST)
        total = costs[batch] + [_crowding(float(gap)) for gap in room]
        if total.min() < least:
            best, least = batch[int(total.argmin())], float(total.min())
    return poses[best]


def _crowding(gap: float) -> float:
    """Nothing with 12 mm to spare, more with less, very much in contact."""
    return 0.0 if gap > 0.012 else 1.5 * (1.0 - gap / 0.012) + (10.0 - 400.0 * gap if gap < 0.002 else 0.0)


def _effort(scene: Scene, pose: Pose) -> float:
    """Cost of turning the wrist there and of stretching the arm."""
    turn = norm(log(pose.rotation @ scene.hand.rotation.T))
    return turn / (math.pi / 2) + 100.0 * max(0.0, stretch(pose, scene.robot_base) - COMFORTABLE_REACH)


def _likeness(pose: Pose, tried: Pose) -> float:
    """2 for the same grasp, less the more it differs in place (1 cm) or direction (0.3 rad)."""
    apart = norm(pose.position - tried.position) / 0.01 + norm(log(pose.rotation @ tried.rotation.T)) / 0.3
    return 2.0 * math.exp(-apart)


def _nearer_half(pose: Pose, hand: Pose) -> Pose:
    """The same grasp with the fingers exchanged where that turns the wrist less."""
    return pose if pose.rotation[:, 0] @ hand.rotation[:, 0] >= 0.0 else Pose(pose.position, pose.rotation * [-1.0, -1.0, 1.0])


TOP = Top()

GRASPS: dict[str, Style] = {}
"""Class -> how it is taken; `TOP` where it is not named."""


def style_of(scene: Scene, instance: str) -> Style:
    """The grasp style of an instance's class."""
    return GRASPS.get(scene.kind(instance), TOP)
