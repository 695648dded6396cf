"""Plans: from the terms of a task's goal to sequences of skills."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from .geometry import LEVEL, Pose, norm
from .grasps import Top, choose, style_of
from .gripper import flip_wrist_if_closer
from .handles import DOOR_LEAD, KNOB_LEAD, door_pose, handle_pose, opening_way, pull_pose, push_pose, turned_about
from .places import SLIDES, placement_for, route
from .scene import Joint, LiberoScene
from .skills import drag, grasp, lift, place, pull, push, release, turn
from .steps import CLOSED, OPEN, Steps, Target, follow, hold

PULLED = -0.150
"""A drawer is pulled to this joint value, m; it counts as open from -0.14."""
AJAR = -0.5
"""A door is pulled to this joint value by its handle, rad."""
OVERTRAVEL = 0.05
"""A drawer is pushed this far beyond its end, m."""
KNOB = Top(depth=0.012, leans=(0.0,), shifts=(0.0,))
"""Grasp of a knob: across its ridge."""


def solve(scene: LiberoScene) -> Generator[Target, None, None]:
    """Work on the goal's terms until all hold, then keep still."""
    while True:
        terms = unmet(scene)
        if not terms or not (yield from achieve(scene, terms[0])):
            yield from hold(scene, OPEN, 1)


def achieve(scene: LiberoScene, term: Term) -> Steps:
    """Try once to make one term of the goal true."""
    return (yield from PLANS[term[0]](scene, *term[1:]))


def put(scene: LiberoScene, instance: str, target: str) -> Steps:
    """Take an object to its place, opening the drawer that it goes into."""
    if scene.is_site(target) and scene.joints(target) and not holds(scene, ("open", target)):
        yield from open_up(scene, target)
    if scene.kind(instance) in SLIDES and not scene.has_body(scene.owner(target)):
        return (yield from slide(scene, instance, target))
    if not (yield from pick(scene, instance, target)):
        return False
    return (yield from place(scene, instance, placement_for(scene, instance, target)))


def pick(scene: LiberoScene, instance: str, target: str, attempts: int = 3) -> Steps:
    """Grasp and lift an object, another way where one fails. Nothing is to do where the gripper has it already."""
    if scene.held(instance):
        return True
    tried: list[Pose] = []
    for _ in range(attempts):
        pose = best_grasp(scene, instance, target, tried)
        if (yield from grasp(scene, pose)) and (yield from lift(scene, instance)):
            return True
        tried.append(pose)
        yield from release(scene)
    return False


def best_grasp(scene: LiberoScene, instance: str, target: str, tried: Sequence[Pose] = ()) -> Pose:
    """The gripper's pose to take an object in, seen where it stands and where it goes."""
    options = style_of(scene, instance, target).options(scene, instance)
    goal, stand = placement_for(scene, instance, target), scene.pose(instance)
    return choose(scene, options, instance, lambda gripper: goal.way(gripper, stand), tried)


def slide(scene: LiberoScene, instance: str, zone: str) -> Steps:
    """Draw an object over the table by its edge."""
    options, points = style_of(scene, instance).options(scene, instance), route(scene, instance, zone)
    farthest = max(points, key=lambda point: norm(point - scene.robot_base)) - scene.pose(instance).position
    pose = choose(scene, options, instance, lambda gripper: [gripper.moved(farthest * LEVEL)])
    dragged = yield from grasp(scene, pose)
    for point in points:
        dragged = dragged and (yield from drag(scene, instance, point))
    yield from release(scene)
    return dragged


def open_up(scene: LiberoScene, name: str) -> Steps:
    """Pull a drawer or a door open."""
    joint = scene.joints(name)[0]
    if not joint.sliding:
        return (yield from _open_door(scene, joint, lambda: holds(scene, ("open", name))))
    pose = flip_wrist_if_closer(pull_pose(scene, joint), scene.gripper, scene.robot_base)
    way = opening_way(scene, joint) * (scene.angle(joint) - joint.range[0])
    return (yield from pull(scene, pose, way, lambda: scene.angle(joint) < PULLED))


def _open_door(scene: LiberoScene, joint: Joint, done: Callable[[], bool]) -> Steps:
    """Pull a door ajar by its handle, then push it open from inside."""
    if scene.angle(joint) > AJAR / 2:
        pose = flip_wrist_if_closer(handle_pose(scene, joint), scene.gripper, scene.robot_base)
        if not (yield from grasp(scene, pose)):
            yield from release(scene)
            return False
        start, angle = scene.gripper, scene.angle(joint)

        def ahead() -> Pose:
            return Pose(turned_about(scene, joint, start, scene.angle(joint) - angle - DOOR_LEAD).position, start.rotation)

        yield from follow(scene, ahead, CLOSED, lambda: scene.angle(joint) < AJAR)
        yield from release(scene)
    before = flip_wrist_if_closer(door_pose(scene, joint, 0.2, inside=True), scene.gripper, scene.robot_base)

    def behind() -> Pose:
        return Pose(door_pose(scene, joint, -DOOR_LEAD, inside=True).position, before.rotation)

    return (yield from push(scene, before, behind, done))


def shut(scene: LiberoScene, name: str) -> Steps:
    """Push a drawer or a door shut."""
    joint = scene.joints(name)[0]

    def done() -> bool:
        return holds(scene, ("close", name))

    if joint.sliding:
        return (yield from _shut_drawer(scene, joint, done))
    before = flip_wrist_if_closer(door_pose(scene, joint, -0.2), scene.gripper, scene.robot_base)
    return (yield from push(scene, before, lambda: Pose(door_pose(scene, joint).position, before.rotation), done))


def _shut_drawer(scene: LiberoScene, joint: Joint, done: Callable[[], bool]) -> Steps:
    way = opening_way(scene, joint)
    contact = flip_wrist_if_closer(push_pose(scene, joint), scene.gripper, scene.robot_base)
    goal = contact.moved((scene.angle(joint) - joint.range[1] - OVERTRAVEL) * way)
    return (yield from push(scene, contact.moved(0.04 * way), lambda: goal, done))


def turn_on(scene: LiberoScene, instance: str) -> Steps:
    """Turn a knob on."""
    joint = scene.joints(instance)[0]
    return (yield from _turn(scene, instance, 1.0, lambda: scene.angle(joint) > KNOB_ON + 0.1))


def turn_off(scene: LiberoScene, instance: str) -> Steps:
    """Turn a knob off, to its stop."""
    return (yield from _turn(scene, instance, -1.0, lambda: holds(scene, ("turnoff", instance))))


def _turn(scene: LiberoScene, instance: str, way: float, done: Callable[[], bool]) -> Steps:
    """Turn a knob up (1) or down (-1)."""
    joint = scene.joints(instance)[0]
    start = scene.angle(joint)
    pose = choose(scene, KNOB.across(scene.body_boxes(joint.body), scene.joint_pose(joint)), instance)

    def ahead(gripper: Pose) -> Pose:
        return turned_about(scene, joint, gripper, scene.angle(joint) - start + way * KNOB_LEAD)

    return (yield from turn(scene, pose, ahead, done))


PLANS: dict[str, Callable[..., Steps]] = {
    "on": put, "in": put, "open": open_up, "close": shut, "turnon": turn_on, "turnoff": turn_off,
}  # fmt: skip
"""Predicate -> plan."""


# The goal's terms are LIBERO's own predicates, read from the same poses, contacts and joint values.

Term = tuple[str, ...]
"""A predicate and its arguments, lower case: `("on", "plate_1", "flat_stove_1_cook_region")`."""

ORDER = {"open": 0, "turnon": 0, "turnoff": 0, "on": 1, "in": 1, "close": 2}
"""Order of a goal's terms: opening and turning first, closing last."""
OPENED, KNOB_ON, KNOB_OFF = -0.14, 0.5, 0.0
OPENED_BELOW = {"microwave": -1.3}
"""Joint value below which a class counts as open; `OPENED` elsewhere."""
CLOSED_ABOVE = {"microwave": -0.005}
"""Joint value above which a class counts as closed; 0 elsewhere (drawers must be pushed past zero)."""


def unmet(scene: LiberoScene) -> list[Term]:
    """The terms that do not hold, in the order to work on them: nothing is put on a thing that is still to be moved."""
    terms = [term for term in scene.goal if not holds(scene, term)]
    moved = {term[1] for term in terms if term[0] in ("on", "in")}
    return sorted(terms, key=lambda term: (ORDER.get(term[0], 1), term[-1] in moved and len(term) > 2))


def holds(scene: LiberoScene, term: Term) -> bool:
    """Whether a term of the goal is true now."""
    predicate, *names = term
    if predicate in ("on", "in"):
        return (_on if predicate == "on" else _in)(scene, *names)
    values = [scene.angle(joint) for joint in scene.joints(names[0])]
    if predicate == "open":
        return any(value < OPENED_BELOW.get(scene.kind(names[0]), OPENED) for value in values)
    if predicate == "turnon":
        return any(value >= KNOB_ON for value in values)
    if predicate == "turnoff":
        return any(value < KNOB_OFF for value in values)
    return all(value > CLOSED_ABOVE.get(scene.kind(names[0]), 0.0) for value in values)


def _on(scene: LiberoScene, upper: str, lower: str) -> bool:
    point = scene.pose(upper).position
    if not scene.is_site(lower):
        apart = point - scene.pose(lower).position
        return bool(apart[2] >= 0.0 and np.hypot(apart[0], apart[1]) < 0.03 and scene.touching(upper, lower))
    site, half = scene.site(lower), scene.site_half(lower)
    apart = site.rotation @ (point - site.position)  # LIBERO turns it the wrong way; this repeats it
    inside = bool((np.abs(apart[:2]) < half[:2]).all() and half[2] - 0.005 < apart[2] < half[2] + 0.10)
    parent = scene.owner(lower)
    return inside and (not scene.has_body(parent) or scene.touching(upper, parent))


def _in(scene: LiberoScene, inner: str, region: str) -> bool:
    site = scene.site(region)
    half = np.abs(site.rotation @ scene.site_half(region))
    apart = scene.pose(inner).position - site.position
    return bool((np.abs(apart[:2]) < half[:2]).all() and -half[2] - 0.01 < apart[2] < half[2])
