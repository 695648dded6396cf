"""Skills on the table: grasp, lift, slide, carry and set down an object."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..geometry import LEVEL, UP, Array, Pose, exp, flat, heading, norm
from ..steps import CLOSED, OPEN, Steps, Target, follow, hold, reach
from .grasps import grasp_pose, with_lean
from .scene import GoogleRobotScene
from .styles import Style

PATIENCE = 4
"""Steps without motion after which a gripper is taken as held up."""
HOVER = 0.10
"""A grasp is approached straight over this distance, m."""
CLOSING_STEPS, RESTED = (3, 6), 0.05
"""Fewest and most steps of closing, and the angle in a step below which the fingers are held up, rad."""
EASE, KEEP = -0.069, 0.0
"""Gripper actions: the fingers' target to 0.10 rad beyond where they are held up, from the 0.19 rad that a blocked step of
closing leaves; and no change. Twice the force works light objects out of the gripper, half of it lets standing ones slip."""
RAISE, LIFT = 0.06, 0.12
"""A load is lifted so far, m; in the styles that lift it."""
LIFTED = 0.012
"""A load that has risen so far hangs in the gripper, m."""
CARRY, NEAR_SPOT, THERE = 0.012, 0.015, 0.04
"""A thing is moved so far above the table, to within this distance of its spot, and is then left within that one, m."""
OVER_SPOT, SET_DOWN, BACK_OFF = 0.012, 0.004, 0.10
"""A lifted load is carried to within this distance of its spot and set down from so far above the height at which it was taken;
then the gripper is raised by so much, m."""
SLIP = 0.03
"""A load that has moved so far in the gripper is taken as lost, m."""
APART = 0.13
"""From middle to middle: near enough for every pair (0.18 m), with room for the fingers, m."""
DIRECTIONS = 24
WAY_CLEARANCE = 0.15
"""Kept between the carried object's way and a bystander, m."""
CLOSER = 0.05
"""The target must be nearer than any bystander by so much, m."""
BEHIND_COST = 2.0
"""Cost of a metre behind the target, seen from the robot: the gripper would lean over it."""
BLOCKED_COST = 10.0
"""Cost of a metre that is missing in the distances above."""


def take(scene: GoogleRobotScene, style: Style) -> Steps:
    """Close the fingers around the source."""
    pose, table = _shifted(grasp_pose(scene, scene.source), style), scene.bottom(scene.source)
    hover = with_lean(pose.backed(HOVER), table, scene.base)
    yield from reach(scene, hover, OPEN, near=0.02, turned=0.2, through=True, patience=PATIENCE)
    yield from reach(scene, pose, OPEN, near=0.004, turned=0.05, speed=0.7, patience=PATIENCE)
    if style.squeezes:
        return (yield from hold(scene, CLOSED, CLOSING_STEPS[1]))
    return (yield from close(scene))


def _shifted(pose: Pose, style: Style) -> Pose:
    along, across, up, turn = style.grasp_error
    offset = along * pose.rotation[:, 1] * LEVEL + across * pose.rotation[:, 0] * LEVEL + up * UP
    return Pose(pose.position + offset, exp(turn * UP) @ pose.rotation)


def close(scene: GoogleRobotScene) -> Steps:
    """Close the fingers until something holds them up, and ease the grip."""
    pose = scene.gripper
    for step in range(CLOSING_STEPS[1]):
        before = scene.closing
        yield Target(pose, CLOSED)
        if step >= CLOSING_STEPS[0] - 1 and scene.closing - before < RESTED:
            break
    yield Target(pose, EASE)
    return True


def pick_up(scene: GoogleRobotScene, style: Style) -> Steps:
    """Take the can, lift and hold it; again where it stays behind or falls."""
    before, table, grip = scene.center(scene.source)[2], scene.bottom(scene.source), _grip(style)
    while True:
        yield from take(scene, style)
        raised = with_lean(scene.gripper.moved((LIFT if style.lifts else RAISE) * UP), table, scene.base)
        yield from reach(scene, raised, grip, near=0.01, turned=0.2, speed=0.7, patience=PATIENCE)
        while scene.center(scene.source)[2] - before > LIFTED or not style.retries:
            yield Target(raised, grip)
        yield from hold(scene, OPEN, 2)


def move_near(scene: GoogleRobotScene, style: Style) -> Steps:
    """Bring the source to the target; again where it stays behind."""
    spot = spot_near(scene)
    while True:
        yield from take(scene, style)
        yield from (lift_over(scene, spot, style) if style.lifts else slide_to(scene, spot))
        if norm((spot - scene.center(scene.source)) * LEVEL) < THERE or not style.retries:
            return True
        yield from hold(scene, OPEN, 3)
        yield from reach(scene, scene.gripper.moved(RAISE * UP), OPEN, near=0.03, turned=0.3, through=True, patience=PATIENCE)


def slide_to(scene: GoogleRobotScene, spot: Array) -> Steps:
    """Carry what is held over a spot, low over the table: what slips in the gripper is slid on. Keep hold of it there."""
    yield from reach(scene, scene.gripper.moved(CARRY * UP), KEEP, near=0.006, turned=0.2, speed=0.5, patience=PATIENCE)
    return (yield from carry(scene, spot))


def lift_over(scene: GoogleRobotScene, spot: Array, style: Style) -> Steps:
    """Lift what is held, carry it over a spot, set it down, let go and back off."""
    table, grip, taken = scene.bottom(scene.source), _grip(style), scene.gripper.position[2]
    raised = with_lean(scene.gripper.moved(LIFT * UP), table, scene.base)
    yield from reach(scene, raised, grip, near=OVER_SPOT, turned=0.2, speed=0.7, patience=PATIENCE)
    held_at = (scene.gripper.position - scene.center(scene.source)) * LEVEL
    goal = spot * LEVEL + held_at

    def over() -> Pose:
        return with_lean(Pose(goal + raised.position * UP, scene.gripper.rotation), table, scene.base)

    def arrived() -> bool:
        return norm((scene.gripper.position - goal) * LEVEL) < OVER_SPOT

    yield from follow(scene, over, grip, arrived, speed=0.7, patience=PATIENCE)
    down = Pose(scene.gripper.position * LEVEL + (taken + SET_DOWN) * UP, scene.gripper.rotation)
    yield from reach(scene, down, grip, near=0.008, turned=0.3, speed=0.6, patience=PATIENCE)
    yield from hold(scene, OPEN, 4)
    return (yield from reach(scene, scene.gripper.moved(BACK_OFF * UP), OPEN, near=0.03, turned=0.4, patience=PATIENCE))


def _grip(style: Style) -> float:
    """Gripper action while something is held."""
    return CLOSED if style.squeezes else KEEP


def carry(scene: GoogleRobotScene, spot: Array) -> Steps:
    """Bring what is held over a spot. False where it stays behind."""
    gripper, lost = scene.gripper, loss(scene)

    def missing() -> Array:
        return (spot - scene.center(scene.source)) * LEVEL

    def target() -> Pose:
        return Pose((scene.gripper.position + missing()) * LEVEL + gripper.position * UP, gripper.rotation)

    yield from follow(scene, target, KEEP, lambda: norm(missing()) < NEAR_SPOT or lost(), speed=0.7, patience=PATIENCE)
    return not lost()


def loss(scene: GoogleRobotScene) -> Callable[[], bool]:
    """Whether what is held now has since been left behind."""
    held = norm(scene.gripper.position - scene.center(scene.source))
    return lambda: norm(scene.gripper.position - scene.center(scene.source)) > held + SLIP


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
        cost += BLOCKED_COST * (max(0.0, CLOSER - nearer) + max(0.0, WAY_CLEARANCE - _from_way(bystander, source, place)))
    return cost


def _from_way(point: Array, start: Array, end: Array) -> float:
    """Level distance of a point from a straight way."""
    way, to_point = (end - start) * LEVEL, (point - start) * LEVEL
    part = np.clip(float(to_point @ way) / max(float(way @ way), 1e-9), 0.0, 1.0)
    return norm(to_point - part * way)
