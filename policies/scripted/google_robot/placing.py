"""Place an object from the top of the station in a drawer that is closed at first."""

from __future__ import annotations

import numpy as np

from ..geometry import LEVEL, UP, Array, Pose, norm
from ..steps import OPEN, Steps, follow, hold, reach
from .carrying import KEEP, LIFT, LIFTED, OVER_SPOT, PATIENCE, loss, take
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
NEARLY_CLOSED = 0.73
"""First gripper action: it sends the fingers to 0.96 rad, 0.11 rad before they meet, and no change keeps them there. Fingers that
press on each other can interlock while the arm moves, and then do not open."""


def place_in_drawer(scene: GoogleRobotScene, style: Style) -> Steps:
    """Open the drawer, bring the object over it and let go; again where it is lost on the station."""
    top = scene.bottom(scene.source)
    yield from hold(scene, NEARLY_CLOSED, 1)
    yield from open_drawer(scene, KEEP)
    yield from reach(scene, scene.gripper.moved(CLEAR * UP), KEEP, near=0.03, turned=0.3, patience=PATIENCE)
    while True:
        yield from hold(scene, OPEN, 3)
        if scene.bottom(scene.source) < top - LIFTED:
            break
        yield from take(scene, style)
        if (yield from lift(scene, top)):
            yield from bring_over(scene, top)
        if not style.retries:
            yield from hold(scene, OPEN, 3)
            break
    return (yield from reach(scene, scene.gripper.moved(CLEAR * UP), OPEN, near=0.03, turned=0.4, patience=PATIENCE))


def lift(scene: GoogleRobotScene, top: float) -> Steps:
    """Lift what is held. False where it stays behind."""
    raised = with_lean(scene.gripper.moved(LIFT * UP), top, scene.base)
    yield from reach(scene, raised, KEEP, near=OVER_SPOT, turned=0.2, speed=0.7, patience=PATIENCE)
    return scene.bottom(scene.source) > top + LIFTED


def bring_over(scene: GoogleRobotScene, top: float) -> Steps:
    """Carry what is held over the middle of the opening. False where it is lost on the way."""
    carried_at, spot, lost = scene.gripper.position[2], opening(scene), loss(scene)

    def over() -> Pose:
        missing = spot - scene.center(scene.source)
        height = carried_at if norm(missing * LEVEL) > OVER_SPOT * 4 else scene.gripper.position[2] + missing[2]
        place = (scene.gripper.position + missing) * LEVEL + height * UP
        return with_lean(Pose(place, scene.gripper.rotation), top, scene.base)

    def arrived() -> bool:
        return norm(spot - scene.center(scene.source)) < OVER_SPOT * 2

    yield from follow(scene, over, KEEP, lambda: arrived() or lost(), speed=0.7, patience=PATIENCE)
    return not lost()


def opening(scene: GoogleRobotScene) -> Array:
    """[3] middle of the gap between the station and the front plate of the open drawer, over its edge."""
    x = (STATION_FRONT + FRONT[0] + scene.travel) / 2
    y = float(np.clip(scene.center(scene.source)[1], -SIDE_ROOM, SIDE_ROOM))
    return np.array([x, y, HEIGHTS[scene.drawer] + HALF_HEIGHT + DROP])
