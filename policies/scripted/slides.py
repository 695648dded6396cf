"""Things that are drawn over a table instead of lifted: which way round the neighbours."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .geometry import LEVEL, UP, Array, Boxes, distance, flat, norm
from .places import zone_points
from .scene import SUPPORTS, LiberoScene

SLIDES = {"plate": 0.069}
"""Classes that are drawn to places on a table, by their edge -> radius, m."""
VIA_PARTS = (0.4, 0.6, 0.8)
"""Via points are tried at these parts of the straight way, ..."""
VIA_OFFSETS = np.linspace(-0.12, 0.12, 9)
"""... and so far to the side of it, m."""
VIA_COST = 0.02
"""What a via point costs besides length, m."""
CLEAR = 0.005
"""Room wanted beside neighbours, m."""
FAR = 0.72
"""Level distance from the robot's base beyond which things are not drawn gladly, m."""
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
    return (deep + np.clip(np.hypot(away[..., 0], away[..., 1]) - FAR, 0.0, None)).mean(1)
