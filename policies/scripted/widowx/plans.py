"""Plan of the WidowX tasks: take the source, carry it over the target, put it down, withdraw, keep still until the last step."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from ..geometry import DOWN, LEVEL, UP, Array, Pose, flat, frame
from ..steps import CLOSED, OPEN, Steps, Target, hold, reach
from .scene import WidowXScene

PATIENCE = 5
"""Steps without motion after which a gripper is taken as stalled."""
HOVER = 0.09
"""A grasp is approached straight down over this distance, m."""
LIFT = 0.075
"""A load is lifted so far, m; less would brush against the target."""
LIFTED = 0.03
"""A load that has risen so far hangs in the gripper, m."""
DROP = 0.006
"""A load is let go with its lowest corner so far above the target's highest, m."""
CLOSING_STEPS, OPENING_STEPS = 3, 2
HEIGHT = {"bridge_carrot_generated_modified": 0.001, "baked_green_cube_3cm": 0.004}
"""Model -> height of the gripper's origin above its centre of mass when it closes, m."""
HEIGHT_ELSE = 0.008
ALONG = {"bridge_spoon_generated_modified": 0.015}
"""Model -> distance from its centre of mass along its first axis where it is taken, m: the spoon where it is wide."""
WRIST_MIDDLE = np.array([-0.1, -1.0, 0.0])
"""The closing axis is taken in the direction that is nearer to this one, about that at reset."""


def solve(scene: WidowXScene) -> Generator[Target, None, None]:
    """Work on the task until it is done, then keep still."""
    while not (yield from take(scene)):
        yield from hold(scene, OPEN, 2)
    yield from carry(scene, scene.middle(scene.target))
    yield from put_down(scene)
    while True:
        yield from hold(scene, OPEN, 1000)


def take(scene: WidowXScene) -> Steps:
    """Close the fingers around the source and lift it. False where it stays behind."""
    pose, before = grasp_pose(scene), scene.middle(scene.source)[2]
    yield from reach(scene, pose.moved(HOVER * UP), OPEN, near=0.02, turned=0.15, through=True, patience=PATIENCE)
    yield from reach(scene, pose, OPEN, near=0.003, turned=0.05, patience=PATIENCE)
    for _ in range(CLOSING_STEPS):
        yield Target(pose, CLOSED)
    yield from reach(scene, pose.moved(LIFT * UP), CLOSED, near=0.015, turned=0.2, patience=PATIENCE)
    return bool(scene.middle(scene.source)[2] - before > LIFTED)


def carry(scene: WidowXScene, place: Array) -> Steps:
    """Bring the held source's centre of mass over a place (its height does not matter)."""
    missing = (place - scene.middle(scene.source)) * LEVEL
    pose = scene.gripper.moved(missing)
    yield from reach(scene, pose, CLOSED, near=0.006, turned=0.2, patience=PATIENCE)
    missing = (place - scene.middle(scene.source)) * LEVEL
    return (yield from reach(scene, scene.gripper.moved(missing), CLOSED, near=0.004, turned=0.2, patience=PATIENCE))


def put_down(scene: WidowXScene) -> Steps:
    """Lower the held source onto the target, let go and withdraw upwards."""
    gap = scene.bottom(scene.source) - scene.top(scene.target) - DROP
    yield from reach(scene, scene.gripper.moved(gap * DOWN), CLOSED, near=0.004, turned=0.2, speed=0.6, patience=PATIENCE)
    yield from hold(scene, OPEN, OPENING_STEPS)
    return (yield from reach(scene, scene.gripper.moved(HOVER * UP), OPEN, near=0.01, turned=0.2, patience=PATIENCE))


def grasp_pose(scene: WidowXScene) -> Pose:
    """The gripper's pose when it closes on the source: pointing down, closing across the source's first axis."""
    model, axis = scene.models[scene.source], scene.pose(scene.source).rotation[:, 0]
    closing = np.cross(UP, flat(axis))
    closing *= 1.0 if closing @ WRIST_MIDDLE >= 0 else -1.0
    middle = scene.middle(scene.source) + ALONG.get(model, 0.0) * flat(axis)
    return Pose(middle + HEIGHT.get(model, HEIGHT_ELSE) * UP, frame(DOWN, closing))
