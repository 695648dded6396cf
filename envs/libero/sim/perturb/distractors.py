"""Axis `distractors`: places of the objects that a task does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ....base import SceneCheckError
from ..generator import GlobalGeneratorKept
from ..memory import mujoco
from .cameras import primary_view
from .edits import Edits
from .goal_places import bounds, geoms_below, goal_places
from .objects import ROBOT, contacts, solid_bodies

CLEARANCE = 0.1
"""Distance (m) of an added object's origin from those of other objects and of fixtures."""
GOAL_CLEARANCE = 0.14
"""Distance (m) from everything that the goal names, and from the straight way between."""
EDGE = 0.1
"""How far (m) an added object may stand outside the rectangle around all things of the task."""
FOOT = 0.05
"""The ground is even within this distance (m) to all four sides of an added object."""
GAP = 0.0005
"""Height (m) above the ground at the start."""
REACH = 0.05
"""Distance (m) from LIBERO's own height of the ground within which it is searched."""
LEVEL, TINY = 0.001, 1e-12
"""Difference of height (m) of even ground; a number against division by zero."""
SOLID = np.array([1, 0, 0, 0, 0, 0], np.uint8)
"""Groups of geoms that things touch, except the floor. The others are rendered, and differ between asset packs."""
SETTLING, MOVED = 250, 0.001
"""Physics steps of settling, and how far (m) an added object may move in them, and another one from where it settles alone."""
PLACES, ARRANGEMENTS = 200, 20
"""Random places for each object, and attempts to place all of them."""
DECIMALS = 9
"""Decimals of a sampled place: see `starts`."""


def distractors(scene: Any, values: Mapping[str, Any], rng: np.random.Generator, row: np.ndarray, instruction: str) -> np.ndarray:
    """Give each added object a place at which nothing moves; all others start as in `row`, a state of the task's own model."""
    alone, problem = settled(scene, scene.widened(row)), ""
    with _opaque(scene.model):
        ground = Ground(scene, row, alone)
        for _ in range(ARRANGEMENTS):
            wide = scene.widened(row)
            missing = next((name for name in scene.added if not ground.place(wide, name, rng)), "")
            problem = f"{missing} has no free place" if missing else _disturbed(scene, wide, alone)
            if not problem:
                return wide
    names = ", ".join(scene.added)
    raise SceneCheckError(f"no room for the added objects ({names}): {problem}, in the last of {ARRANGEMENTS} arrangements")


@contextmanager
def _opaque(model: Any) -> Iterator[None]:
    """Make all geoms opaque meanwhile: `mj_ray` misses transparent ones, as those that things touch are in the official pack."""
    edits = Edits(model, None)
    edits.set(model.geom_matid, slice(None), -1)
    edits.set(model.geom_rgba, (slice(None), 3), 1.0)
    try:
        yield
    finally:
        edits.undo()


def settled(scene: Any, wide: np.ndarray) -> np.ndarray:
    """[1 + nq + nv] a state after half a second in which the robot does not move."""
    model, data = scene.model, mujoco.MjData(scene.model)
    robot = [joint for joint in range(model.njnt) if model.body(model.jnt_bodyid[joint]).name.startswith(ROBOT)]
    qpos, qvel = model.jnt_qposadr[robot], model.jnt_dofadr[robot]
    data.qpos[:], data.qvel[:] = wide[1 : 1 + model.nq], wide[1 + model.nq :]
    for _ in range(SETTLING):
        mujoco.mj_step(model, data)
        data.qpos[qpos], data.qvel[qvel] = wide[1 + qpos], 0.0
    return np.concatenate([wide[:1], data.qpos, data.qvel])


def _disturbed(scene: Any, wide: np.ndarray, alone: np.ndarray) -> str:
    """What an arrangement moves, in words; empty for nothing. `alone`: the settled state without the added objects."""
    after = settled(scene, wide)
    for name in scene.inner.objects_dict:
        columns = scene.pose_columns(name)
        if not np.linalg.norm((after - (wide if name in scene.added else alone))[columns][:3]) <= MOVED:
            return f"{name} moves, or does not settle where it does without them"
    return ""


class Ground:
    """The free places of a task's table or floor in one initial state."""

    def __init__(self, scene: Any, row: np.ndarray, alone: np.ndarray) -> None:
        """Over a state of the task's own model, and over that in which its things settle, [1 + nq + nv] of the scene's model."""
        self.scene, self._start, self._scratch = scene, mujoco.MjData(scene.model), mujoco.MjData(scene.model)
        self._standing = {name: _standing(scene, self._scratch, name) for name in scene.added}
        self._goal, self._view, self._solid = goal_places(scene, alone), primary_view(scene.model), solid_bodies(scene)
        bodies = [body for name, body in scene.inner.obj_body_id.items() if name not in scene.added]
        contacts(scene, self._start, alone)
        settled_things = self._start.xpos[bodies, :2].copy()
        self._usual = contacts(scene, self._start, scene.widened(row))
        self._things = np.concatenate([self._start.xpos[bodies, :2], settled_things])
        self._low, self._high = self._things.min(axis=0) - EDGE, self._things.max(axis=0) + EDGE

    def place(self, wide: np.ndarray, name: str, rng: np.random.Generator) -> bool:
        """Put an added object on the first free one of some random places, into `wide` [1 + nq + nv]; whether there is one."""
        points = np.round(rng.uniform(self._low, self._high, (PLACES, 2)), DECIMALS)
        columns, (quaternion, bottom) = self.scene.pose_columns(name), self._standing[name]
        parked, placed = wide[columns].copy(), self.scene.added[: self.scene.added.index(name) + 1]
        for point in points[self._far_from_all(points, wide)]:
            height = self._height(point)
            if height is None:
                continue
            wide[columns] = (*point, height + GAP - bottom, *quaternion)
            inside = self._view.shows(wide[columns][None, :3])[0]
            if inside and contacts(self.scene, self._scratch, wide) <= self._usual and self._in_sight(wide, placed):
                return True
        wide[columns] = parked
        return False

    def _in_sight(self, wide: np.ndarray, placed: Collection[str]) -> bool:
        """Whether the camera sees the origins of the placed objects, and none of them hides that of another object."""
        model, geom = self.scene.model, np.zeros(1, np.int32)
        roots = {name: int(model.body_rootid[self.scene.inner.obj_body_id[name]]) for name in self.scene.inner.objects_dict}
        added = {roots[name] for name in placed}
        for name, root in roots.items():
            way = wide[self.scene.pose_columns(name)][:3] - self._view.position
            mujoco.mj_ray(model, self._scratch, self._view.position, way, SOLID, 1, -1, geom)
            first = int(model.body_rootid[model.geom_bodyid[geom[0]]]) if geom[0] >= 0 else -1
            if first != root and {first, root} & added:
                return False
        return True

    def _far_from_all(self, points: np.ndarray, wide: np.ndarray) -> np.ndarray:
        """[points] bool."""
        others = [*self._things, *(wide[self.scene.pose_columns(name)][:2] for name in self.scene.added)]
        clear = np.linalg.norm(points[:, None] - np.array(others), axis=2).min(axis=1) >= CLEARANCE
        return clear & (_distances(points, self._goal).min(axis=1) >= GOAL_CLEARANCE)

    def _height(self, point: np.ndarray) -> float | None:
        """Height (m) of the even ground at a place [2]; None where it is uneven or not the table or floor."""
        sides = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]) * FOOT
        heights = [self._surface(point + side) for side in sides]
        is_even = np.ptp(heights) < LEVEL  # not with NaN
        is_usual = abs(heights[0] - float(self.scene.inner.workspace_offset[2])) < REACH
        return heights[0] if is_even and is_usual else None

    def _surface(self, point: np.ndarray) -> float:
        """Height (m) of the first solid surface below a point; NaN where it is not the ground's."""
        model, geom, base = self.scene.model, np.zeros(1, np.int32), float(self.scene.inner.workspace_offset[2])
        start = np.array([*point, base + REACH])
        depth = mujoco.mj_ray(model, self._start, start, np.array([0.0, 0.0, -1.0]), SOLID, 1, -1, geom)
        if depth < 0:
            return float(self._start.geom("floor").xpos[2])
        is_ground = int(model.body_rootid[model.geom_bodyid[geom[0]]]) not in self._solid
        return float(start[2] - depth) if is_ground else np.nan


def _standing(scene: Any, data: Any, name: str) -> tuple[np.ndarray, float]:
    """Quaternion (w x y z) in which LIBERO puts an object down, and the height (m) of its lowest point over its origin."""
    from libero.libero.envs.regions import get_region_samplers

    problem, thing = scene.inner.parsed_problem, scene.inner.objects_dict[name]
    (kind,) = (kind for kind, names in problem["fixtures"].items() if scene.inner.workspace_name in names)
    options = {"rotation": thing.rotation, "rotation_axis": thing.rotation_axis, "ensure_object_boundary_in_range": False}
    sampler = get_region_samplers(problem["problem_name"], kind)(name, thing, [[0, 0]], [[0, 0]], **options)
    with GlobalGeneratorKept():
        _, quaternion, _ = sampler.sample()[name]
    columns = scene.pose_columns(name)
    data.qpos[columns.start - 1 : columns.stop - 1] = (0.0, 0.0, 0.0, *quaternion)
    mujoco.mj_kinematics(scene.model, data)
    geoms = geoms_below(scene.model, scene.inner.obj_body_id[name])
    return quaternion, float(bounds(scene, data, geoms)[:, 2].min())


def _distances(points: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """[points, lines] m between points [points, 2] and lines [lines, 2, 2] of finite length."""
    start, way = lines[:, 0], lines[:, 1] - lines[:, 0]
    share = ((points[:, None] - start) * way).sum(axis=2) / np.maximum((way**2).sum(axis=1), TINY)
    return np.linalg.norm(points[:, None] - start - np.clip(share, 0.0, 1.0)[..., None] * way, axis=2)
