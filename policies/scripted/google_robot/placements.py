"""Where an object is set down near another one."""

from __future__ import annotations

import numpy as np

from ..geometry import LEVEL, Array, flat, heading, norm
from .scene import GoogleRobotScene

APART = 0.13
"""From middle to middle: near enough for every pair (0.18 m), with room for the fingers, m."""
DIRECTIONS = 24
ASIDE = 0.15
"""Kept between the carried object's way and a bystander, m."""
CLOSER = 0.05
"""The target must be nearer than any bystander by so much, m."""
BEHIND_COST = 2.0
"""Of a metre behind the target, seen from the robot: the gripper would lean over it."""
BLOCKED_COST = 10.0
"""Of a metre that is missing in the distances above."""


def spot_near(scene: GoogleRobotScene) -> Array:
    """[3] where the middle of the source goes, at the height of its present middle: the cheapest place around the target."""
    source, target = scene.center(scene.source), scene.center(scene.target)
    places = [target * LEVEL + APART * heading(2 * np.pi * k / DIRECTIONS) for k in range(DIRECTIONS)]
    best = min(places, key=lambda place: _cost(scene, source, target, place))
    return best + source * (1.0 - LEVEL)


def _cost(scene: GoogleRobotScene, source: Array, target: Array, place: Array) -> float:
    out = flat(target - scene.base.position)
    cost = norm((place - source) * LEVEL) + BEHIND_COST * max(0.0, float((place - target) @ out))
    for bystander in map(scene.center, scene.bystanders):
        nearer = norm((place - bystander) * LEVEL) - APART
        cost += BLOCKED_COST * (max(0.0, CLOSER - nearer) + max(0.0, ASIDE - _from_way(bystander, source, place)))
    return cost


def _from_way(point: Array, start: Array, end: Array) -> float:
    """Level distance of a point from a straight way."""
    way, to_point = (end - start) * LEVEL, (point - start) * LEVEL
    part = np.clip(float(to_point @ way) / max(float(way @ way), 1e-9), 0.0, 1.0)
    return norm(to_point - part * way)
