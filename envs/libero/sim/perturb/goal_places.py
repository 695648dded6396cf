"""Places that added objects keep away from: what the goal names, the ways between, and what drawers and doors sweep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np

from ..memory import mujoco

CORNERS = np.array([*product((-1.0, 1.0), repeat=3)])
SHARES = (0.0, 0.5, 1.0)
"""Shares of a joint's range at which a moving part is looked at."""


def goal_places(scene: Any, row: np.ndarray) -> np.ndarray:
    """[n, 2, 2] ends (x y, m) of level lines in a state [1 + nq + nv]; a point is a line with equal ends."""
    data = mujoco.MjData(scene.model)
    data.qpos[:] = row[1 : 1 + scene.model.nq]
    mujoco.mj_kinematics(scene.model, data)
    terms = [term[1:] for term in scene.inner.parsed_problem["goal_state"]]
    named = sorted({name for term in terms for name in term})
    points = [point for name in named for point in _points(scene, data, name)]
    ways = [[_middle(scene, data, name) for name in term] for term in terms if len(term) == 2]
    fixtures = sorted({owner for name in named if (owner := _owner(scene, name)) in scene.fixtures})
    points += [point for name in fixtures for point in _swept(scene, data, name)]
    return np.array([*([point, point] for point in points), *ways])[..., :2]


def bounds(scene: Any, data: Any, geoms: Iterable[int]) -> np.ndarray:
    """[corners, 3] m: corners of the boxes around geoms, where `data` has them."""
    boxes = scene.model.geom_aabb
    turned = [(boxes[g, :3] + CORNERS * boxes[g, 3:]) @ data.geom_xmat[g].reshape(3, 3).T + data.geom_xpos[g] for g in geoms]
    return np.concatenate(turned)


def geoms_below(model: Any, body: int) -> list[int]:
    """Geoms of a body and of everything attached to it that something can touch."""
    below = {body}
    for number in range(model.nbody):
        if int(model.body_parentid[number]) in below:
            below.add(number)
    solid = np.flatnonzero(model.geom_contype | model.geom_conaffinity)
    return [geom for geom in solid.tolist() if int(model.geom_bodyid[geom]) in below]


def _owner(scene: Any, name: str) -> str:
    """The object or fixture that a region belongs to, or the thing itself; empty for a region of the ground."""
    site = scene.inner.object_sites_dict.get(name)
    return str(site.parent_name or "") if site else name


def _middle(scene: Any, data: Any, name: str) -> np.ndarray:
    if name in scene.inner.object_sites_dict:
        return data.site_xpos[scene.model.site(name).id].copy()
    return data.xpos[scene.inner.obj_body_id[name]].copy()


def _points(scene: Any, data: Any, name: str) -> Iterator[np.ndarray]:
    """A thing's origin, or corners and middle of a region, and the origin of the thing that it belongs to."""
    yield _middle(scene, data, name)
    if name in scene.inner.object_sites_dict:
        number = scene.model.site(name).id
        yield from data.site_xpos[number] + CORNERS * scene.model.site_size[number] @ data.site_xmat[number].reshape(3, 3).T
        if owner := _owner(scene, name):
            yield _middle(scene, data, owner)


def _swept(scene: Any, data: Any, fixture: str) -> Iterator[np.ndarray]:
    """Corners of a fixture's moving parts on their ways."""
    model = scene.model
    for name in scene.inner.get_object(fixture).joints:
        joint = model.joint(name)
        address, start = int(joint.qposadr[0]), float(data.qpos[joint.qposadr[0]])
        geoms = geoms_below(model, int(joint.bodyid[0]))
        for share in SHARES:
            data.qpos[address] = joint.range[0] + share * (joint.range[1] - joint.range[0])
            mujoco.mj_kinematics(model, data)
            yield from bounds(scene, data, geoms)
        data.qpos[address] = start
    mujoco.mj_kinematics(model, data)
