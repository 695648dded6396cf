"""Objects of an initial state that may be shifted, and the rules of shifting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..memory import mujoco

ROBOT = ("robot0_", "gripper0_", "mount0_")
"""Prefixes of the robot's bodies."""
CLEARANCE = 0.12
"""Distance (m) that the origins of two shifted objects keep, or their distance before where that is smaller."""
EDGE = 0.03
"""How far (m) an object may leave the rectangle around all things of the initial state."""
ORDER = 0.03
"""Things of one category that differ by more than this (m) keep their order from left to right and from front to back."""
STACKED, CONCENTRIC = 0.005, 0.04
"""Height (m) above another object, and distance (m) beside it, within which an object counts as standing on it."""
ROUNDING = 1e-9
"""Difference (m) of two distances that does not count: objects that exchange places keep theirs."""
TOUCHING = 1e-4
"""Depth (m) of contacts that count."""


def solid_bodies(scene: Any) -> set[int]:
    """Root bodies of objects, fixtures and robot: everything but the ground and the room."""
    robot = scene.model.site_bodyid[scene.arm.site]
    return {int(scene.model.body_rootid[body]) for body in (*scene.inner.obj_body_id.values(), robot)}


def contacts(scene: Any, data: Any, row: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of root bodies that touch in a state [1 + nq + nv], without those of the ground; `data` is overwritten."""
    model, solid = scene.model, solid_bodies(scene)
    data.qpos[:] = row[1 : 1 + model.nq]
    mujoco.mj_fwdPosition(model, data)
    touching = data.contact.geom.reshape(-1, 2)[data.contact.dist < -TOUCHING]
    roots = model.body_rootid[model.geom_bodyid[touching]]
    return {(min(a, b), max(a, b)) for a, b in roots.tolist() if a in solid and b in solid and a != b}


class Layout:
    """An initial state, whose groups of objects are shifted one after the other.

    A group is an object that stands on the table or floor, and what is on or in it; all of them are one group where the
    instruction names an object by its place. Objects on or in fixtures stay, and so does one that a region of the goal is
    named after.
    """

    def __init__(self, scene: Any, row: np.ndarray, *, together: bool) -> None:
        """Over the initial state `row`, [1 + nq + nv]; `row` of this object is the present one. `together`: one group of all."""
        self.scene, self.row = scene, row.copy()
        self._data = mujoco.MjData(scene.model)
        self._things = scene.inner.objects_dict
        self._terms = list(scene.inner.parsed_problem["goal_state"])
        self._start = {name: self._place(name) for name in self._things}
        self.groups = self._find_groups(str(scene.inner.workspace_name), together=together)
        fixtures = [np.array(pose[:2]) for pose in scene.fixture_poses().values()]
        around = np.array([*self._start.values(), *fixtures])
        self._low, self._high = around.min(axis=0) - EDGE, around.max(axis=0) + EDGE
        self._usual = self._contacts()

    def matters(self, group: tuple[str, ...]) -> bool:
        """Whether the goal names something of the group."""
        named = {name for term in self._terms for name in term[1:]}
        return any(name in named or any(part.startswith(f"{name}_") for part in named) for name in group)

    def move(self, group: tuple[str, ...], shift: np.ndarray) -> bool:
        """Shift a group by [2] m if the rules allow it; whether they do."""
        before = self.row.copy()
        for name in group:
            address = self._address(name)
            self.row[address : address + 2] += shift
        if self._allowed(group):
            return True
        self.row = before
        return False

    def exchange(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        """Let two groups exchange places if the rules allow it; whether they do. Nothing else moves."""
        before, shift = self.row.copy(), self._place(b[0]) - self._place(a[0])
        for group, way in ((a, shift), (b, -shift)):
            for name in group:
                address = self._address(name)
                self.row[address : address + 2] += way
        if self._allowed(a) and self._allowed(b):
            return True
        self.row = before
        return False

    def _allowed(self, group: tuple[str, ...]) -> bool:
        others = [name for name in self._things if name not in group]
        for name in group:
            place = self._place(name)
            if (place < self._low).any() or (place > self._high).any():
                return False
            for other in others:
                distance = np.linalg.norm(place - self._place(other))
                if distance < min(CLEARANCE, np.linalg.norm(self._start[name] - self._start[other])) - ROUNDING:
                    return False
                if not self._keeps_order(name, other):
                    return False
        return self._contacts() <= self._usual

    def _keeps_order(self, name: str, other: str) -> bool:
        if self._things[name].category_name != self._things[other].category_name:
            return True
        before = self._start[name] - self._start[other]
        after = self._place(name) - self._place(other)
        return bool((np.sign(before) == np.sign(after))[np.abs(before) > ORDER].all())

    def _contacts(self) -> set[tuple[int, int]]:
        return contacts(self.scene, self._data, self.row)

    def _find_groups(self, ground: str, *, together: bool) -> list[tuple[str, ...]]:
        initial = self.scene.inner.parsed_problem["initial_state"]
        on = {term[1]: term[2] for term in initial if len(term) == 3}
        below = {name: self._below(name, on.get(name, "")) for name in self._things}
        free = [name for name in self._things if on.get(name, "").startswith(ground) and not below[name]]
        groups = [(root, *(name for name in self._things if below[name] == root)) for root in free]
        groups = [group for group in groups if not any(self._names_region(name, ground) for name in group)]
        return [sum(groups, ())] if together and groups else groups

    def _below(self, name: str, region: str) -> str:
        """The object that an object stands on or in; empty for none."""
        named = [other for other in self._things if other != name and region.startswith(other)]
        height = self.row[self._address(name) + 2]
        under = [other for other in self._things if self.row[self._address(other) + 2] < height - STACKED]
        near = [other for other in under if np.linalg.norm(self._place(other) - self._place(name)) < CONCENTRIC]
        return max(named, key=len) if named else near[0] if near else ""

    def _names_region(self, name: str, ground: str) -> bool:
        """Whether a region of the ground in the goal is named after the thing: it would not move along."""
        category = str(self._things[name].category_name)
        return any(category in part.removeprefix(ground) for term in self._terms for part in term[2:] if part.startswith(ground))

    def _address(self, name: str) -> int:
        return 1 + int(self.scene.model.joint(self._things[name].joints[-1]).qposadr[0])

    def _place(self, name: str) -> np.ndarray:
        address = self._address(name)
        return self.row[address : address + 2].copy()
