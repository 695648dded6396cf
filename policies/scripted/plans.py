"""Plans: from the goal of a task to a sequence of skills."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from .geometry import Array, Pose
from .grasps import choose, style_of
from .motion import OPEN, Aim
from .scene import Scene
from .skills import Steps, grasp, hold, lift, place, release

Term = tuple[str, ...]


def solve(scene: Scene) -> Generator[Aim, None, None]:
    """Work on the goal's terms until all hold, then keep still."""
    for term in scene.goal:
        yield from achieve(scene, term)
    while True:
        yield from hold(scene, OPEN, 1)


def achieve(scene: Scene, term: Term) -> Steps:
    """Make one term of the goal true."""
    _, instance, target = term
    for _ in range(3):
        if (yield from pick(scene, instance)):
            return (yield from place(scene, instance, spot(scene, instance, target)))
    return False


def pick(scene: Scene, instance: str, attempts: int = 3) -> Steps:
    """Grasp and lift an object, another way where one fails."""
    tried: list[Pose] = []
    for _ in range(attempts):
        pose = choose(scene, instance, style_of(scene, instance).options(scene, instance), tried)
        if (yield from grasp(scene, pose)) and (yield from lift(scene, instance)):
            return True
        tried.append(pose)
        yield from release(scene)
    return False


def spot(scene: Scene, instance: str, target: str) -> Array:
    """Where the object's origin is to be let go."""
    parent = scene.owner(target)
    rim = scene.boxes(parent).corners()[..., 2].max()
    bottom = scene.boxes(instance).corners()[..., 2].min()
    center = scene.site(target).position
    return np.array([center[0], center[1], rim + scene.pose(instance).position[2] - bottom])
