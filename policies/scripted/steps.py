"""Building blocks of the skills of every robot: targets yielded step by step, and steps that only move the gripper.

A skill is a generator: it yields the target of the next step, finds `scene` updated when it resumes, and returns whether it
succeeded. Skills call each other with `yield from`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from .geometry import Pose, apart, norm

OPEN, CLOSED = -1.0, 1.0
PATIENCE = 7
"""Steps after which a gripper that does not move counts as stalled."""
NEAR, TURNED = 0.005, 0.1
"""A gripper is at a pose within this distance (m) and this angle (rad)."""


@dataclass(frozen=True, slots=True)
class Target:
    """The target of the next step."""

    pose: Pose
    grip: float
    """`OPEN` or `CLOSED`: the direction in which the fingers are driven."""
    speed: float = 1.0
    """Fraction of the largest speed."""
    through: bool = False
    """Whether the pose is passed without stopping."""


class HasGripper(Protocol):
    """The part of a scene that moving needs."""

    gripper: Pose


Steps = Generator[Target, None, bool]
Follow = Callable[[], Pose]
Done = Callable[[], bool]


class StallDetector:
    """Detector of a gripper that has stopped: at an object, or at a limit of the arm."""

    def __init__(self, steps: int, moved: float = 0.002, turned: float = 0.015) -> None:
        self._poses: deque[Pose] = deque(maxlen=steps)
        self._moved, self._turned = moved, turned

    def stalled(self, gripper: Pose) -> bool:
        """Whether the gripper has hardly moved over the last steps; call once a step."""
        self._poses.append(gripper)
        first = self._poses[0]
        if len(self._poses) < (self._poses.maxlen or 0) or norm(gripper.position - first.position) > self._moved:
            return False
        return apart(gripper.rotation, first.rotation) < self._turned


def reached(gripper: Pose, pose: Pose, near: float, turned: float) -> bool:
    """Whether a gripper is at a pose (within `near` m, `turned` rad)."""
    return norm(pose.position - gripper.position) <= near and apart(pose.rotation, gripper.rotation) <= turned


def approach(
    scene: HasGripper,
    pose: Pose,
    target: Callable[[Pose], Target],
    *,
    near: float = NEAR,
    turned: float = TURNED,
    patience: int = PATIENCE,
) -> Steps:
    """Follow a target, a function of the gripper's pose, until the gripper is at a pose (see `reached`).

    False where it stalls before.
    """
    return (yield from _chase(scene, lambda: target(scene.gripper), lambda: reached(scene.gripper, pose, near, turned), patience))


def reach(
    scene: HasGripper,
    pose: Pose,
    grip: float,
    *,
    near: float = NEAR,
    turned: float = TURNED,
    speed: float = 1.0,
    through: bool = False,
    patience: int = PATIENCE,
) -> Steps:
    """Move the gripper straight to a pose. False where it stalls before."""
    target = Target(pose, grip, speed, through)
    return (yield from approach(scene, pose, lambda _: target, near=near, turned=turned, patience=patience))


def hold(scene: HasGripper, grip: float, steps: int) -> Steps:
    """Drive the fingers for some steps while the gripper stays."""
    pose = scene.gripper
    for _ in range(steps):
        yield Target(pose, grip)
    return True


def follow(scene: HasGripper, target: Follow, grip: float, done: Done, *, speed: float = 1.0, patience: int = 12) -> Steps:
    """Follow a moving target until `done`. False where the gripper stalls for `patience` steps before."""
    return (yield from _chase(scene, lambda: Target(target(), grip, speed), done, patience))


def _chase(scene: HasGripper, target: Callable[[], Target], done: Done, patience: int) -> Steps:
    stall = StallDetector(patience)
    while not done():
        if stall.stalled(scene.gripper):
            return False
        yield target()
    return True
