"""What the skills of every robot are made of: aims yielded step by step, and steps that only move the hand.

A skill is a generator: it yields what the hand is to aim at in the next step, finds `scene` brought up to date when
it goes on, and returns whether it did what it was for. Skills call each other with `yield from`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from .geometry import Pose, apart, norm

OPEN, CLOSED = -1.0, 1.0
PATIENCE = 7
"""Steps after which a hand that does not move counts as stalled."""
NEAR, TURNED = 0.005, 0.1
"""A hand is at a pose within this distance (m) and this angle (rad)."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a skill wants at the next step."""

    pose: Pose
    grip: float
    """`OPEN` or `CLOSED`: the direction in which the fingers are driven."""
    speed: float = 1.0
    """Fraction of the largest speed."""
    through: bool = False
    """Whether the pose is passed without stopping."""


class Handed(Protocol):
    """A scene as far as moving needs it."""

    hand: Pose


Steps = Generator[Aim, None, bool]
Follow = Callable[[], Pose]
Done = Callable[[], bool]


class Stall:
    """Notices that the hand has come to a stop: at a thing, or at a limit of the arm."""

    def __init__(self, steps: int, moved: float = 0.002, turned: float = 0.015) -> None:
        self._poses: deque[Pose] = deque(maxlen=steps)
        self._moved, self._turned = moved, turned

    def met(self, hand: Pose) -> bool:
        """Whether the hand has hardly moved over the last steps; call once a step."""
        self._poses.append(hand)
        first = self._poses[0]
        if len(self._poses) < (self._poses.maxlen or 0) or norm(hand.position - first.position) > self._moved:
            return False
        return apart(hand.rotation, first.rotation) < self._turned


def met(hand: Pose, pose: Pose, near: float, turned: float) -> bool:
    """Whether a hand is at a pose (within `near` m, `turned` rad)."""
    return norm(pose.position - hand.position) <= near and apart(pose.rotation, hand.rotation) <= turned


def approach(
    scene: Handed, pose: Pose, aim: Callable[[Pose], Aim], *, near: float = NEAR, turned: float = TURNED, patience: int = PATIENCE
) -> Steps:
    """Go after an aim, told from where the hand is, until the hand is at a pose (see `met`). False where it stalls before."""
    return (yield from _chase(scene, lambda: aim(scene.hand), lambda: met(scene.hand, pose, near, turned), patience))


def reach(
    scene: Handed,
    pose: Pose,
    grip: float,
    *,
    near: float = NEAR,
    turned: float = TURNED,
    speed: float = 1.0,
    through: bool = False,
    patience: int = PATIENCE,
) -> Steps:
    """Bring the hand straight to a pose. False where it stalls before."""
    aim = Aim(pose, grip, speed, through)
    return (yield from approach(scene, pose, lambda _: aim, near=near, turned=turned, patience=patience))


def hold(scene: Handed, grip: float, steps: int) -> Steps:
    """Drive the fingers for some steps while the hand stays."""
    pose = scene.hand
    for _ in range(steps):
        yield Aim(pose, grip)
    return True


def follow(scene: Handed, aim: Follow, grip: float, done: Done, *, speed: float = 1.0, patience: int = 12) -> Steps:
    """Go after a moving aim until `done`. False where the hand stalls for `patience` steps before."""
    return (yield from _chase(scene, lambda: Aim(aim(), grip, speed), done, patience))


def _chase(scene: Handed, aim: Callable[[], Aim], done: Done, patience: int) -> Steps:
    stall = Stall(patience)
    while not done():
        if stall.met(scene.hand):
            return False
        yield aim()
    return True
