"""Axes `robot` and `layout`: other initial states."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from ....base import SceneCheckError
from ..memory import mujoco
from .objects import ROBOT, Layout
from .random import unit_vector

Start = Callable[[Any, Mapping[str, Any], np.random.Generator, np.ndarray, str], np.ndarray]
"""Initial state [1 + nq + nv] from a reset scene, the level's numbers, random numbers, the state without the perturbation, and
the task's instruction."""
PLACES = re.compile(r"\b(between|next to|center|left|right|front|behind)\b")
"""Words by which an instruction names an object by its place: then all objects are shifted alike."""
ATTEMPTS = 100
"""Random displacements tried for the arm, and for each object."""
DECIMALS = 9
"""Decimals of a sampled value: processors differ in the last bits of sines, and these must not."""
LIMIT_MARGIN = 0.02
"""Distance (rad) that the arm's joints keep from their limits."""


def robot(scene: Any, values: Mapping[str, Any], rng: np.random.Generator, row: np.ndarray, instruction: str) -> np.ndarray:
    """Displace the arm's joints by a vector of the level's length; the first that touches nothing. The gripper stays as it is."""
    model, scratch = scene.model, mujoco.MjData(scene.model)
    low, high = model.jnt_range[np.isin(model.jnt_qposadr, np.arange(model.nq)[scene.arm.qpos])].T
    usual = _robot_contacts(model, scratch, row)
    for _ in range(ATTEMPTS):
        moved = row.copy()
        moved[1:][scene.arm.qpos] += np.round(values["size"] * unit_vector(rng, 7), DECIMALS)
        joints = moved[1:][scene.arm.qpos]
        inside = (joints > low + LIMIT_MARGIN).all() and (joints < high - LIMIT_MARGIN).all()
        if inside and _robot_contacts(model, scratch, moved) <= usual:
            return moved
    raise SceneCheckError("every displacement of the arm that was tried touches something")


def layout(scene: Any, values: Mapping[str, Any], rng: np.random.Generator, row: np.ndarray, instruction: str) -> np.ndarray:
    """Shift the free-standing objects, or let two of them exchange places; see `objects.Layout` for the rules."""
    found = Layout(scene, row, together=bool(PLACES.search(instruction)))
    if not found.groups:
        raise SceneCheckError("no object of this task stands free, so that its layout cannot change")
    if "pairs" in values:
        _swap(found, rng)
    else:
        _shift(found, values, rng)
    return found.row


def _swap(found: Layout, rng: np.random.Generator) -> None:
    """The first pair in random order of which the goal names one: a swap of others leaves the task as it was."""
    pairs = [(a, b) for a, b in combinations(found.groups, 2) if found.matters(a) or found.matters(b)]
    for number in rng.permutation(len(pairs)):
        if found.exchange(*pairs[number]):
            return
    raise SceneCheckError("no two objects, of which the goal names one, can exchange places")


def _shift(found: Layout, values: Mapping[str, Any], rng: np.random.Generator) -> None:
    """Shift each group by the level's distance, with what stands on it."""
    for group in found.groups:
        for heading in rng.uniform(-np.pi, np.pi, ATTEMPTS):
            shift = np.round(1e-3 * values["shift"] * np.array([np.cos(heading), np.sin(heading)]), DECIMALS)
            if found.move(group, shift):
                break
        else:
            if found.matters(group):
                raise SceneCheckError(f"{group[0]} cannot be shifted: each shift that was tried meets an object or an edge")


def _robot_contacts(model: Any, data: Any, row: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of geoms in contact, one of them of the robot, in a state."""
    data.qpos[:] = row[1 : 1 + model.nq]
    mujoco.mj_fwdPosition(model, data)
    geoms = data.contact.geom.reshape(-1, 2)
    own = np.array([model.body(body).name.startswith(ROBOT) for body in range(model.nbody)])[model.geom_bodyid]
    return {(int(a), int(b)) for a, b in geoms if own[a] or own[b]}
