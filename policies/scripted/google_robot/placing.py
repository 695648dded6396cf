"""Place an object from the top of the station in a drawer that is closed at first."""

from __future__ import annotations

import numpy as np

from ..geometry import LEVEL, UP, Array, Pose, norm
from ..steps import CLOSED, OPEN, Steps, follow, hold, reach
from .carrying import KEEP, LIFT, LIFTED, OVER_SPOT, PATIENCE, take
from .drawers import FRONT, HALF_HEIGHT, HEIGHTS, open_drawer
from .grasps import with_lean
from .scene import GoogleRobotScene
from .styles import Style

CLEAR = 0.12
"""The hooked gripper is raised by so much to leave the drawer, m."""
STATION_FRONT, SIDE_ROOM = 0.02, 0.15
"""World x of the station's front edge; farthest sideways place for an object in a drawer, m."""
DROP = 0.09
"""An object is let go with its middle so far above the edge of the front plate, m."""
FREED = 0.6
"""Mean angle of the fingers below which they have opened, rad."""


def place_in_drawer(scene: GoogleRobotScene, style: Style) -> Steps:
    """Open the drawer, bring the object over it and let go; again where it is lost on the station."""
    top = scene.bottom(scene.source)
    yield from open_drawer(scene)
    yield from reach(scene, scene.gripper.moved(CLEAR * UP), CLOSED, near=0.03, turned=0.3, patience=PATIENCE)
    yield from free_fingers(scene, top)
    while scene.bottom(scene.source) > top - LIFTED:
        yield from take(scene, style)
        yield from bring_over(scene, top)
        yield from hold(scene, OPEN, 3)
        if not style.retries:
            break
    return (yield from reach(scene, scene.gripper.moved(CLEAR * UP), OPEN, near=0.03, turned=0.4, patience=PATIENCE))


def free_fingers(scene: GoogleRobotScene, top: float) -> Steps:
    """Open the fingers; closed ones that have pulled a drawer can interlock, until their tips touch the station's top."""
    yield from hold(scene, OPEN, 3)
    if scene.closing < FREED:
        return True
    above = Pose(scene.center(scene.source) * LEVEL + np.array([0.0, -0.13, top + 0.05]), scene.gripper.rotation)
    above = with_lean(above, top, scene.base)
    yield from reach(scene, above, OPEN, near=0.02, turned=0.2, patience=PATIENCE)
    return (yield from follow(scene, lambda: above.moved(-0.10 * UP), OPEN, lambda: scene.closing < FREED, speed=0.3, patience=6))


def bring_over(scene: GoogleRobotScene, top: float) -> Steps:
    """Lift what is held and carry it over the middle of the opening."""
    raised = with_lean(scene.gripper.moved(LIFT * UP), top, scene.base)
    yield from reach(scene, raised, KEEP, near=OVER_SPOT, turned=0.2, speed=0.7, patience=PATIENCE)
    spot = opening(scene)

    def over() -> Pose:
        missing = spot - scene.center(scene.source)
        height = raised.position[2] if norm(missing * LEVEL) > OVER_SPOT * 4 else scene.gripper.position[2] + missing[2]
        place = (scene.gripper.position + missing) * LEVEL + height * UP
        return with_lean(Pose(place, scene.gripper.rotation), top, scene.base)

    def arrived() -> bool:
        return norm(spot - scene.center(scene.source)) < OVER_SPOT * 2

    return (yield from follow(scene, over, KEEP, arrived, speed=0.7, patience=PATIENCE))


def opening(scene: GoogleRobotScene) -> Array:
    """[3] middle of the gap between the station and the front plate of the open drawer, over its edge."""
    x = (STATION_FRONT + FRONT[0] + scene.travel) / 2
    y = float(np.clip(scene.center(scene.source)[1], -SIDE_ROOM, SIDE_ROOM))
    return np.array([x, y, HEIGHTS[scene.drawer] + HALF_HEIGHT + DROP])
