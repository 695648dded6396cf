"""The expert's skills in LIBERO: reach, grasp, lift, place, push, pull, turn. See `steps` for what a skill is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .geometry import LEVEL, UP, Array, Boxes, Pose, apart, clearance, distance, flat, frame, heading, norm
from .gripper import PALM, PARTED, TIP
from .places import Placement
from .scene import SUPPORTS, LiberoScene
from .steps import CLOSED, NEAR, OPEN, TURNED, Done, Follow, Steps, Target, approach, follow, reach

CLOSING_STEPS, RESTED = (6, 16), 2
"""Fewest and most steps of closing, and how many of them the fingers rest before their force is there."""
CLOSE_NEAR, CLOSE_TURNED = 0.012, 0.15
"""The fingers begin to close within this distance (m) and angle (rad) of a grasp, while the gripper still comes nearer: a learner
that knows the pose to a centimetre can then tell that it is time."""
PLACED_NEAR = 0.010
"""A load this near to its spot is let go, m."""
OPENING_STEPS, FREED = 12, 0.010
"""The fingers are opened until they have moved apart by so much (m), at most for so many steps."""
HOVER = 0.08
"""A grasp is approached straight over this distance, m."""
LIFT_SPEED = 0.6
"""Fraction of the largest speed at which a load is raised."""
FOLDED_SPEED = 0.5
"""Fraction of the largest speed at which a knob is approached: near the base the arm is folded to a joint's limit, and a fast
gripper drifts into it."""
RAISE = 0.05
"""A grasp is tested by raising the gripper so far, m."""
DRAG_TOLERANCE = 0.008
"""A thing is dragged to within this distance of a point, m."""
SLIP = 0.03
"""A load that has moved so far in the gripper is taken as lost, m."""
MARGIN = 0.03
"""Room kept above what the gripper or its load passes over, m."""
CORNER, ALIGNED, BESIDE = (0.01, 0.05), (0.1, 0.3), (0.004, 0.025)
"""Between these distances (m) and angles (rad) from where it is to be, the gripper comes down: on its way over things, and onto a
grasp."""
CLIMB = (0.01, 0.04)
"""A gripper that is too low by this much goes up more than aside, m."""
LEAD = 0.03
"""On its way down the gripper targets a point of the line so far ahead: what is beside the line then counts, m."""
PASSED = 0.03
"""A pose that is passed without stopping counts as reached at this distance, m."""


def travel(scene: LiberoScene, pose: Pose, grip: float, carried: str = "", near: float = NEAR) -> Steps:
    """Bring the gripper to a pose over whatever stands between, with its load where it carries one."""
    height = safe_height(scene, pose, carried)
    return (yield from approach(scene, pose, lambda gripper: Target(_over(gripper, pose, height), grip), near=near))


def _over(gripper: Pose, pose: Pose, height: float) -> Pose:
    """The target on the way to a pose, where everything above a height is free.

    Far from the pose, or in another orientation, it is at that height, and lower nearer to the pose; the gripper goes up before
    it goes aside.
    """
    aside = (pose.position - gripper.position) * LEVEL
    still = max(_ramp(norm(aside), CORNER), _ramp(apart(pose.rotation, gripper.rotation), ALIGNED))
    level = pose.position[2] + max(0.0, height - pose.position[2]) * still
    low = _ramp(level - float(gripper.position[2]), CLIMB)
    return Pose(gripper.position * LEVEL + (1.0 - low) * aside + level * UP, pose.rotation)


def _ramp(value: float, bounds: tuple[float, float]) -> float:
    """0 up to the first bound, 1 from the second on."""
    return float(np.interp(value, bounds, (0.0, 1.0)))


def descend(
    scene: LiberoScene, pose: Pose, away: Array, grip: float, speed: float = 1.0, near: float = NEAR, turned: float = TURNED
) -> Steps:
    """Come to a pose from `away` (m, world): the nearer, the straighter the gripper is over it. False where it stalls before."""
    axis = away / norm(away)

    def target(gripper: Pose) -> Target:
        along, beside, angle = _off(gripper, pose, axis)
        back = norm(away) * max(_ramp(beside, BESIDE), _ramp(angle, ALIGNED))
        return Target(pose.moved(max(back, along - LEAD) * axis), grip, speed)

    return (yield from approach(scene, pose, target, near=near, turned=turned))


def _off(gripper: Pose, pose: Pose, axis: Array) -> tuple[float, float, float]:
    """Distance of a gripper from a pose along an axis and beside it (m), and the angle between them (rad)."""
    way = gripper.position - pose.position
    along = float(way @ axis)
    return along, norm(way - along * axis), apart(pose.rotation, gripper.rotation)


def safe_height(scene: LiberoScene, pose: Pose, carried: str = "") -> float:
    """Height of the gripper at which a level way to a pose is free."""
    start, goal = scene.gripper.position, pose.position
    solids = scene.boxes(without=(carried, *SUPPORTS))
    load = scene.boxes(carried).corners().reshape(-1, 3) if carried else np.array([start - TIP * UP])
    hang = float(start[2] - load[:, 2].min())
    radius = 0.07 if not carried else float(np.hypot(*(load - start)[:, :2].T).max()) + 0.01
    below = _tallest(solids, start, goal, radius) + hang + MARGIN
    beside = _tallest(solids, start, goal, 0.11) - PALM + MARGIN
    return max(below, beside)


def _tallest(solids: Boxes, start: Array, goal: Array, radius: float) -> float:
    """Height of the tallest solid within `radius` of the straight way; minus infinity where there is none."""
    way = (goal - start) * LEVEL
    along = flat(way) if norm(way) > 1e-6 else np.array([1.0, 0.0, 0.0])
    middle = (start + goal) / 2
    lane = Boxes(middle[None], frame(UP, along)[None], np.array([[norm(way) / 2 + radius, radius, 2.0]]))
    met = clearance(lane, solids)[0] < 0.0
    return float(solids.corners()[met][..., 2].max()) if met.any() else -np.inf


def grasp(scene: LiberoScene, pose: Pose, speed: float = 1.0) -> Steps:
    """Go to a grasp along its approach, at that speed, and close the fingers. False where they close on nothing."""
    hover = pose.backed(HOVER)
    if not _before(scene, pose):
        yield from travel(scene, hover, OPEN, near=0.02)
    there = yield from descend(scene, pose, hover.position - pose.position, OPEN, speed, CLOSE_NEAR, CLOSE_TURNED)
    return (yield from close(scene, pose if there else scene.gripper))


def _before(scene: LiberoScene, pose: Pose) -> bool:
    """Whether the gripper stands before a grasp already, as `descend` leads to it, with open fingers."""
    along, beside, turned = _off(scene.gripper, pose, -pose.rotation[:, 2])
    return 0.0 <= along <= HOVER and beside <= BESIDE[1] and turned <= ALIGNED[1] and scene.opening > PARTED


def close(scene: LiberoScene, pose: Pose) -> Steps:
    """Close the fingers at a pose until they have come to rest. False where there is nothing between them."""
    rest = 0
    for step in range(CLOSING_STEPS[1]):
        before = scene.opening
        yield Target(pose, CLOSED)
        rest = rest + 1 if abs(scene.opening - before) < 0.0004 else 0
        if step >= CLOSING_STEPS[0] and rest >= RESTED:
            break
    return scene.opening > 0.002


def lift(scene: LiberoScene, instance: str) -> Steps:
    """Raise what is grasped, first aside from under what hangs over it. False where it stays behind."""
    aside, headroom = retreat(scene, instance)
    before, gripper = scene.pose(instance).position, scene.gripper
    raised = gripper.moved(min(RAISE, 0.6 * headroom) * UP)
    yield from reach(
        scene, raised, CLOSED, near=0.003 if norm(aside) > 0.0 else 0.012, speed=LIFT_SPEED, through=norm(aside) == 0.0
    )
    if norm(aside) > 0.0:
        yield from reach(scene, raised.moved(aside), CLOSED, speed=LIFT_SPEED)
    moved, carried = scene.gripper.position - gripper.position, scene.pose(instance).position - before
    return norm(carried - moved) < 0.5 * norm(moved)


def retreat(scene: LiberoScene, instance: str) -> tuple[Array, float]:
    """The shortest level way after which nothing hangs over an object (zero where nothing does), and the room above it."""
    corners, origin = scene.boxes(instance).corners().reshape(-1, 3), scene.pose(instance).position
    radius, top = float(np.hypot(*(corners - origin)[:, :2].T).max()), float(corners[:, 2].max())
    solids = scene.boxes(without=(instance,))
    over = solids.select(solids.corners()[..., 2].min(1) > top - 0.01)
    level = Boxes(over.center * LEVEL, over.rotation, over.half)
    ways = np.array([length * heading(k * np.pi / 12) for length in np.arange(0.0, 0.21, 0.01) for k in range(24)])
    met = distance((origin + ways) * LEVEL, level) < radius + 0.006
    if not met[0].any():
        return np.zeros(3), np.inf
    headroom = float(over.corners()[met[0]][..., 2].min()) - top
    return ways[int(np.argmin(met.any(1)))], max(headroom, 0.0)


def release(scene: LiberoScene) -> Steps:
    """Open the fingers until they are free of what they held, and back off along the approach."""
    held, pose = scene.opening, scene.gripper
    for _ in range(OPENING_STEPS):
        if scene.opening > held + FREED:
            break
        yield Target(pose, OPEN)
    return (yield from reach(scene, scene.gripper.backed(HOVER), OPEN, near=PASSED, through=True))


def place(scene: LiberoScene, instance: str, placement: Placement) -> Steps:
    """Carry what is grasped to its spot and let go. False where it is lost on the way."""
    offset = scene.gripper.position - scene.pose(instance).position
    goal = placement.gripper(scene.gripper, scene.pose(instance))
    yield from travel(scene, goal.moved(placement.over), CLOSED, instance, near=0.02)
    carried = scene.gripper.position - scene.pose(instance).position
    if abs(norm(carried) - norm(offset)) > SLIP:
        return False
    yield from descend(
        scene, Pose(placement.origin + carried, goal.rotation), placement.over, CLOSED, speed=0.7, near=PLACED_NEAR
    )
    return (yield from release(scene))


def push(scene: LiberoScene, contact: Pose, target: Follow, done: Done, grip: float = CLOSED) -> Steps:
    """Come down to just before a contact and press along a way. False where it stalls before `done`."""
    yield from travel(scene, contact.moved(HOVER * UP), grip)
    yield from reach(scene, contact, grip)
    return (yield from follow(scene, target, grip, done))


def pull(scene: LiberoScene, pose: Pose, way: Array, done: Done) -> Steps:
    """Grasp something that slides and drag it along a way (world, m); let go."""
    if not (yield from grasp(scene, pose)):
        return False
    goal = scene.gripper.moved(way)
    dragged = yield from follow(scene, lambda: goal, CLOSED, done)
    yield from release(scene)
    return dragged


def drag(scene: LiberoScene, instance: str, goal: Array) -> Steps:
    """Drag a grasped object over its support until its origin is over a point. False where it stalls or is lost."""
    height, rotation = scene.gripper.position[2], scene.gripper.rotation
    held = norm(scene.gripper.position - scene.pose(instance).position)

    def missing() -> Array:
        return (goal - scene.pose(instance).position) * LEVEL

    def target() -> Pose:
        level = scene.gripper.position * LEVEL + missing()
        return Pose(level + height * UP, rotation)

    def lost() -> bool:
        return norm(scene.gripper.position - scene.pose(instance).position) > held + SLIP

    return (yield from follow(scene, target, CLOSED, lambda: norm(missing()) < DRAG_TOLERANCE or lost())) and not lost()


def turn(scene: LiberoScene, pose: Pose, target: Callable[[Pose], Pose], done: Done) -> Steps:
    """Grasp something that turns and lead it round: `target` tells from the gripper's first pose where it is to be now."""
    if not (yield from grasp(scene, pose, FOLDED_SPEED)):
        return False
    start = scene.gripper
    turned = yield from follow(scene, lambda: target(start), CLOSED, done)
    yield from release(scene)
    return turned
