"""Skills at the drawers. Handles are only to be seen; a drawer moves by its front plate. The plates leave gaps of 10 cm above
them, through which the gripper reaches in, leaned far forward."""

from __future__ import annotations

import numpy as np

from ..geometry import DOWN, UP, Array, Pose, frame
from ..steps import CLOSED, Steps, follow, reach
from .gripper import flip_wrist_if_closer
from .scene import GoogleRobotScene

PATIENCE = 4
"""Steps without motion after which a gripper is taken as held up."""
BEFORE = 0.12
"""A front is approached from so far outside, m."""
ABOVE = 0.80
"""World z from which the gripper comes down in front of the drawers, m."""
OVER = 0.020
"""The gripper reaches in so far above where it hooks, m."""
PULLED = 0.22
"""A drawer is pulled to here; it counts as open from 0.15, m."""
FRONT = np.array([0.010, 0.0])
"""Level position (x, y) of a closed drawer's front plate, world, m; a drawer slides along +x."""
HEIGHTS = (0.685, 0.440, 0.195)
"""World z of the middle of the fronts: top, middle, bottom drawer, m."""
HALF_HEIGHT, HALF_DEPTH = 0.070, 0.0075
"""Half height and half depth of a front plate, m."""
HOOK_LEAN, PUSH_LEAN = 0.9, 0.4
"""Lean of the gripper towards the drawers, from straight down, rad: over a front; pushing without folding the arm."""
HOOK_IN, HOOK_DOWN = 0.072, 0.030
"""The gripper's origin behind the middle of the front plate and below its top edge: the fingers' knuckles then lie on the
edge, and the tips reach 4 cm down behind the plate, m."""
TIP_HALF = 0.021
"""Half thickness of the fingertips across the closing axis, m."""
SIDEWAYS = 0.6
"""Part of the robot's own sideways offset at which the gripper meets the front."""
WIDEST = 0.15
"""Farthest from the drawer's middle, m."""
OUT = np.array([-1.0, 0.0, 0.0])
"""From the robot towards the station."""


def open_drawer(scene: GoogleRobotScene, grip: float = CLOSED) -> Steps:
    """Reach in over the front, pull the drawer out by its edge. `grip`: gripper action throughout."""
    hook = hook_pose(scene)
    goal = hook.moved(-0.3 * OUT)
    over = hook.moved(OVER * UP)
    yield from approach(scene, over.backed(BEFORE), 0.10, grip)
    yield from reach(scene, over, grip, near=0.010, turned=0.08, speed=0.6, patience=PATIENCE)
    yield from reach(scene, hook, grip, near=0.006, turned=0.08, speed=0.6, patience=PATIENCE)
    return (yield from follow(scene, lambda: goal, grip, lambda: scene.travel > PULLED, speed=0.6, patience=6))


def close_drawer(scene: GoogleRobotScene) -> Steps:
    """Push the front until the drawer is shut."""
    contact = push_pose(scene)
    goal = contact.moved(0.25 * OUT)
    yield from approach(scene, contact.moved(-0.06 * OUT), 0.05)
    return (yield from follow(scene, lambda: goal, CLOSED, lambda: scene.travel < 0.002, speed=0.5, patience=6))


def approach(scene: GoogleRobotScene, pose: Pose, room: float, grip: float = CLOSED) -> Steps:
    """Turn the gripper over and before the front, come down, then go to a pose; `room` (m) is kept to it until there."""
    before = pose.moved(-room * OUT)
    above = before.moved(max(0.0, ABOVE - before.position[2]) * UP)
    yield from reach(scene, above, grip, near=0.05, turned=0.3, through=True, patience=PATIENCE)
    yield from reach(scene, before, grip, near=0.03, turned=0.15, through=True, patience=PATIENCE)
    return (yield from reach(scene, pose, grip, near=0.012, turned=0.08, patience=PATIENCE))


def hook_pose(scene: GoogleRobotScene) -> Pose:
    """The gripper with its fingertips behind the top edge of a closed front."""
    edge = HEIGHTS[scene.drawer] + HALF_HEIGHT
    return _at_front(scene, FRONT[0] - HOOK_IN, edge - HOOK_DOWN, HOOK_LEAN)


def push_pose(scene: GoogleRobotScene) -> Pose:
    """The gripper with its fingertips at the front plate, where the drawer is now."""
    return _at_front(scene, FRONT[0] + HALF_DEPTH + TIP_HALF + scene.travel, HEIGHTS[scene.drawer], PUSH_LEAN)


def _at_front(scene: GoogleRobotScene, x: float, z: float, lean: float) -> Pose:
    y = float(np.clip(SIDEWAYS * scene.base.position[1], -WIDEST, WIDEST))
    return Pose(np.array([x, y, z]), _rotation(lean))


def _rotation(lean: float) -> Array:
    rotation = frame(np.cos(lean) * DOWN + np.sin(lean) * OUT, np.array([0.0, 1.0, 0.0]))
    return flip_wrist_if_closer(rotation, OUT)
