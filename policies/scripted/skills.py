"""The expert's skills: reach, grasp, lift, place, push, pull, turn.

A skill is a generator: it yields what the hand is to aim at in the next step, finds `scene` brought up to date when
it goes on, and returns whether it did what it was for. Skills call each other with `yield from`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import numpy as np

from .geometry import UP, Array, Boxes, Pose, clearance, flat, frame, log, norm
from .hand import PALM, TIP
from .motion import CLOSED, OPEN, Aim
from .scene import Scene

Steps = Generator[Aim, None, bool]

CLOSING_STEPS = 10
"""From open to closed takes 8 steps, the force is there two steps later."""
OPENING_STEPS = 5
HOVER = 0.08
"""A grasp is approached straight over this distance, m."""
MARGIN = 0.03
"""Room kept above what the hand or its load passes over, m."""
CORNER = 0.03
"""A via point counts as passed at this distance, m: the hand's way to stop."""


class Stall:
    """Notices that the hand has come to a stop: at a thing, or at a limit of the arm."""

    def __init__(self, steps: int = 7, moved: float = 0.002, turned: float = 0.015) -> None:
        self._poses: deque[Pose] = deque(maxlen=steps)
        self._moved, self._turned = moved, turned

    def met(self, hand: Pose) -> bool:
        """Whether the hand has hardly moved over the last steps; call once a step."""
        self._poses.append(hand)
        first = self._poses[0]
        if len(self._poses) < (self._poses.maxlen or 0) or norm(hand.position - first.position) > self._moved:
            return False
        return norm(log(hand.rotation @ first.rotation.T)) < self._turned


def reach(
    scene: Scene, pose: Pose, grip: float, *, near: float = 0.003, turned: float = 0.06, speed: float = 1.0, through: bool = False
) -> Steps:
    """Bring the hand to a pose (within `near` m, `turned` rad). False where it stalls before."""
    stall = Stall()
    while norm(pose.position - scene.hand.position) > near or norm(log(pose.rotation @ scene.hand.rotation.T)) > turned:
        if stall.met(scene.hand):
            return False
        yield Aim(pose, grip, speed, through)
    return True


def travel(scene: Scene, pose: Pose, grip: float, carried: str = "") -> Steps:
    """Bring the hand to a pose over whatever stands between, with its load where it carries one."""
    height = safe_height(scene, pose, carried)
    start = scene.hand.position
    for via in (start, pose.position):
        if via[2] < height - 0.01:
            over = Pose(np.array([via[0], via[1], height]), pose.rotation)
            yield from reach(scene, over, grip, near=CORNER, turned=np.inf, through=True)
    return (yield from reach(scene, pose, grip, through=False))


def safe_height(scene: Scene, pose: Pose, carried: str = "") -> float:
    """Height of the hand at which a level way to a pose is free."""
    start, goal = scene.hand.position, pose.position
    solids = scene.boxes(without=(carried, *SUPPORTS))
    load = scene.boxes(carried).corners().reshape(-1, 3) if carried else np.array([start - TIP * UP])
    hang = float(start[2] - load[:, 2].min())
    radius = 0.07 if not carried else float(np.hypot(*(load - start)[:, :2].T).max()) + 0.01
    below = _tallest(solids, start, goal, radius) + hang + MARGIN
    beside = _tallest(solids, start, goal, 0.11) - PALM + MARGIN
    return max(below, beside)


SUPPORTS = ("table", "floor", "living_room_table", "study_table")


def _tallest(solids: Boxes, start: Array, goal: Array, radius: float) -> float:
    """Height of the tallest solid within `radius` of the straight way; minus infinity where there is none."""
    way = (goal - start) * [1.0, 1.0, 0.0]
    along = flat(way) if norm(way) > 1e-6 else np.array([1.0, 0.0, 0.0])
    middle = (start + goal) / 2
    lane = Boxes(middle[None], frame(UP, along)[None], np.array([[norm(way) / 2 + radius, radius, 2.0]]))
    met = clearance(lane, solids)[0] < 0.0
    return float(solids.corners()[met][..., 2].max()) if met.any() else -np.inf


def hold(scene: Scene, grip: float, steps: int, drift: Array | None = None) -> Steps:
    """Drive the fingers for some steps while the hand stays, or drifts by so much a step."""
    pose = scene.hand
    for _ in range(steps):
        pose = pose if drift is None else pose.moved(drift)
        yield Aim(pose, grip)
    return True


def grasp(scene: Scene, pose: Pose) -> Steps:
    """Go to a grasp along its approach and close the fingers. False where they close on nothing."""
    yield from travel(scene, pose.backed(HOVER), OPEN)
    yield from reach(scene, pose, OPEN)
    yield from hold(scene, CLOSED, CLOSING_STEPS)
    return scene.opening > 0.002


def lift(scene: Scene, instance: str, height: float = 0.06) -> Steps:
    """Raise what is grasped. False where it stays behind."""
    before, hand = scene.pose(instance).position, scene.hand
    yield from reach(scene, hand.moved(height * UP), CLOSED, near=0.02, through=True)
    risen = scene.pose(instance).position[2] - before[2]
    return bool(risen > 0.5 * (scene.hand.position[2] - hand.position[2]))


def release(scene: Scene) -> Steps:
    """Open the fingers and back off along the approach."""
    yield from hold(scene, OPEN, OPENING_STEPS)
    return (yield from reach(scene, scene.hand.backed(HOVER), OPEN, near=CORNER, through=True))


def place(scene: Scene, instance: str, origin: Array, over: float = 0.06) -> Steps:
    """Carry what is grasped to where its origin is to be let go, and let go. False where it is lost on the way."""
    offset = scene.hand.position - scene.pose(instance).position
    rotation = scene.hand.rotation
    yield from travel(scene, Pose(origin + offset + over * UP, rotation), CLOSED, instance)
    carried = scene.hand.position - scene.pose(instance).position
    if norm(carried - offset) > 0.04:
        return False
    yield from reach(scene, Pose(origin + carried, rotation), CLOSED, speed=0.7)
    return (yield from release(scene))
