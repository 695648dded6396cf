"""Physical facts of an episode, step by step, and the features by which a failed episode is classified.

An environment reads a `Moment` after its reset and after each control step; `features` reduces them to numbers when the
episode has ended. Which class follows is data (`results/failures/classes.toml`). Needs numpy only; syntax of Python 3.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .rotations import Array

HOLD_STEPS = 3
"""Consecutive steps with both fingers on an object that count as a grasp."""
GAP_STEPS = 2
"""Steps without contact of both fingers that do not end a grasp: contacts of a held object flicker."""
END_SHARE = 0.1
"""Last part of an episode in which progress is measured."""


@dataclass(frozen=True)
class Term:
    """One condition of a task's goal."""

    wanted: int | None = None
    """Index of the object that is to be moved; None for a part of a fixture (a drawer, a knob)."""
    part: int | None = None
    """Index of the part of a fixture that is to be moved, or that an object is to be placed in."""


@dataclass(frozen=True)
class Roles:
    """Constants of an episode: what its objects and parts are for."""

    objects: tuple[str, ...]
    """Names of all movable objects."""
    terms: tuple[Term, ...]
    bystanders: tuple[int, ...] = ()
    """Objects that no term names, neither as what is moved nor as its target."""


class Moment(NamedTuple):
    """Facts after one control step. World frame, m; n objects, p parts of fixtures, t terms.

    A tuple, because one is made per control step and a frozen dataclass takes several times as long to create.
    """

    gripper: Array
    """[3] point between the fingers."""
    closing: bool
    """Whether the last gripper command closed."""
    poses: Array
    """[n, 7] x y z, qw qx qy qz."""
    touched: Array
    """[n] bool: a finger or the hand touches the object."""
    held: Array
    """[n] bool: fingers of both sides touch it."""
    goal: Array
    """[t] bool: which terms hold."""
    targets: Array
    """[t, 3] where the term's object is to be; NaN where there is no such place."""
    travel: Array = np.zeros(0)
    """[p] joint positions (m or rad)."""
    part_touched: Array = np.zeros(0, bool)
    """[p] bool: the robot touches the part."""
    part_distance: Array = np.zeros(0)
    """[p] from the gripper to the nearest shape's centre; NaN where it is not known."""


@dataclass(frozen=True)
class Trajectory:
    """The moments of an episode stacked: each field of `Moment` with a leading axis of steps (the first is the reset)."""

    gripper: Array
    closing: Array
    poses: Array
    touched: Array
    held: Array
    goal: Array
    targets: Array
    travel: Array
    part_touched: Array
    part_distance: Array

    @classmethod
    def of(cls, moments: Sequence[Moment]) -> Trajectory:
        """The moments in order."""
        return cls(*(np.array(values) for values in zip(*moments, strict=True)))


def features(roles: Roles, moments: Sequence[Moment]) -> dict[str, float]:
    """Features of an episode, finite numbers (m, degrees, steps; 0 and 1 for no and yes), rounded to 1e-4.

    Most are of the *focus*: the term that does not hold at the end and that the robot dealt with most. A feature that does not
    exist for it (the goal distance of a drawer) is omitted. docs/guide/failures.md defines each.
    """
    way = Trajectory.of(moments)
    open_terms = [index for index in range(len(roles.terms)) if not way.goal[-1, index]] or [*range(len(roles.terms))]
    found = _goal(way)
    if open_terms:
        focus = max(open_terms, key=lambda index: _dealt_with(way, roles.terms[index]))
        term = roles.terms[focus]
        found |= _object(way, term.wanted, focus) if term.wanted is not None else _part(way, term.part)
    found |= _others(way, roles)
    return {name: round(float(value), 4) for name, value in found.items() if np.isfinite(value)}


def _dealt_with(way: Trajectory, term: Term) -> tuple[float, float]:
    """Steps of contact, then nearness: the larger, the more the robot dealt with the term."""
    if term.wanted is None:
        return (0.0, 0.0) if term.part is None else (float(way.part_touched[:, term.part].sum()), 0.0)
    distance = np.linalg.norm(way.poses[:, term.wanted, :3] - way.gripper, axis=1).min()
    return float(way.held[:, term.wanted].sum() + way.touched[:, term.wanted].sum()), -float(distance)


def _goal(way: Trajectory) -> dict[str, float]:
    """History of the goal: steps in which all terms held, and the terms that held at once and at the end."""
    count = way.goal.sum(axis=1)
    lost = (way.goal.any(axis=0) & ~way.goal[-1] & ~way.goal[0]).sum() if way.goal.size else 0
    return {
        "goal_steps": way.goal.all(axis=1).sum() if way.goal.size else 0,
        "terms": way.goal.shape[1],
        "terms_best": count.max(initial=0),
        "terms_end": count[-1],
        "terms_undone": lost,
    }


def _object(way: Trajectory, index: int, term: int) -> dict[str, float]:
    """Approach, grasps, way and end of the focus's object."""
    place, held = way.poses[:, index, :3], grasped(way.held[:, index])
    reach = np.linalg.norm(place - way.gripper, axis=1)
    rise = place[:, 2] - place[0, 2]
    tilts = tilt(way.poses[:, index, 3:])
    first = int(held.argmax()) if held.any() else len(held)
    found = {
        "object": 1.0,
        "approach_m": reach.min(),
        "gripper_end_m": reach[-1],
        "touch_steps": way.touched[:, index].sum(),
        "hold_steps": longest(held),
        "hold_end": held[-1],
        "rise_m": np.where(held, rise, 0.0).max(),
        "carry_m": np.where(held, np.linalg.norm(place[:, :2] - place[0, :2], axis=1), 0.0).max(),
        "moved_m": np.linalg.norm(place[-1] - place[0]),
        "fall_m": -rise[-1],
        "tilt_end_deg": tilts[-1],
        "tilt_free_deg": tilts[:first].max(initial=0.0),
    }
    gap = np.linalg.norm(place - way.targets[:, term], axis=1)
    level = np.linalg.norm((place - way.targets[:, term])[:, :2], axis=1)
    remaining = np.where(held, 0.0, reach) + np.where(np.isnan(gap), 0.0, gap)
    since = max(1, round(END_SHARE * len(remaining)))
    found |= {"goal_start_m": level[0], "goal_least_m": level.min(), "goal_end_m": level[-1]}
    return {**found, "progress_m": remaining[-1 - since] - remaining[-1], **_loss(way, held, place, level)}


def _loss(way: Trajectory, held: Array, place: Array, level: Array) -> dict[str, float]:
    """The last time that the object left the gripper."""
    losses = np.flatnonzero(held[:-1] & ~held[1:])
    if not losses.size:
        return {"losses": 0.0}
    last = int(losses[-1])
    return {
        "losses": losses.size,
        "loss_closing": way.closing[last + 1],
        "loss_height_m": place[last, 2] - place[last:, 2].min(),
        "loss_goal_m": level[last],
        "loss_rise_m": place[last, 2] - place[0, 2],
    }


def _part(way: Trajectory, index: int | None) -> dict[str, float]:
    """Approach and travel of the focus's part of a fixture."""
    if index is None:
        return {}
    travel = way.travel[:, index]
    since = max(1, round(END_SHARE * len(travel)))
    return {
        "object": 0.0,
        "approach_m": way.part_distance[:, index].min(),
        "touch_steps": way.part_touched[:, index].sum(),
        "part_travel": np.abs(travel - travel[0]).max(),
        "part_travel_end": abs(travel[-1] - travel[0]),
        "part_progress": abs(travel[-1] - travel[-1 - since]),
    }


def _others(way: Trajectory, roles: Roles) -> dict[str, float]:
    """Grasps, ways and tilts of objects that the goal does not ask to move."""
    wanted = {term.wanted for term in roles.terms}
    others = [index for index in range(len(roles.objects)) if index not in wanted]
    found = {"wrong_hold_steps": 0.0, "wrong_rise_m": 0.0, "other_moved_m": 0.0, "other_tilt_deg": 0.0, "other_fall_m": 0.0}
    for index in others:
        place, held = way.poses[:, index, :3], grasped(way.held[:, index])
        values = {
            "wrong_hold_steps": longest(held),
            "wrong_rise_m": np.where(held, place[:, 2] - place[0, 2], 0.0).max(),
            "other_moved_m": np.linalg.norm(place[-1] - place[0]),
            "other_tilt_deg": tilt(way.poses[:, index, 3:])[-1],
            "other_fall_m": place[0, 2] - place[-1, 2],
        }
        found = {name: max(found[name], float(value)) for name, value in values.items()}
    return found


def grasped(touching: Array) -> Array:
    """[steps] bool: steps in a stretch of at least HOLD_STEPS with both fingers on the object, gaps up to GAP_STEPS bridged."""
    bridged, out = touching.copy(), np.zeros(len(touching), bool)
    for start, end in _stretches(~touching):
        bridged[start:end] = start > 0 and end - start <= GAP_STEPS
    for start, end in _stretches(bridged):
        out[start:end] = end - start >= HOLD_STEPS
    return out


def longest(flags: Array) -> int:
    """Length of the longest stretch of true values."""
    return max((end - start for start, end in _stretches(flags)), default=0)


def _stretches(flags: Array) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def tilt(rotations: Array) -> Array:
    """[steps] degrees between the direction that was up at first, turned with the body, and up; from [steps, 4] w x y z."""
    w, x, y, z = rotations[0]
    up = np.array([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)])  # in the body's frame
    w, x, y, z = rotations.T
    height = 2 * (x * z - w * y) * up[0] + 2 * (y * z + w * x) * up[1] + (1 - 2 * (x * x + y * y)) * up[2]
    return np.degrees(np.arccos(np.clip(height, -1.0, 1.0)))
