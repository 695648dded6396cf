"""Moments of a LIBERO episode: reads of MuJoCo's arrays, tens of microseconds per control step.

Positions and contacts are those at the start of the last physics step (2 ms old), as for the goal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...moments import Moment, Roles, Term
from .scene import LiberoScene

SIDES = ("left_finger", "right_finger")
"""Groups of the gripper's geoms that hold from either side; the pads belong to them."""


class MomentReader:
    """Reader of one built task. Everything that does not change while the task is built is looked up once."""

    def __init__(self, scene: LiberoScene) -> None:
        self.scene, self._model, self._data = scene, scene.model, scene.data
        inner = scene.inner
        names = tuple(inner.objects_dict)
        self._bodies = np.array([inner.obj_body_id[name] for name in names], int)
        self._side_of = self._gripper_sides()
        self._sides, self._objects = self._side_of.tolist(), self._geoms_of(names).tolist()
        self._parts: list[list[str]] = []
        self._targets: list[tuple[str, int] | None] = []
        self.roles = self._roles(names)
        self._addresses = np.array([int(self._model.joint(joints[0]).qposadr[0]) for joints in self._parts], int)
        bodies = [self._bodies_of(joints) for joints in self._parts]
        self._part_geoms = [np.flatnonzero(np.isin(self._model.geom_bodyid, part)) for part in bodies]
        self._part_sets = [frozenset(geoms.tolist()) for geoms in self._part_geoms]
        # MuJoCo's arrays keep their place in memory while the model lives: these are views of the current values
        data = self._data
        self._gripper, self._xpos, self._xquat, self._qpos = data.site_xpos[scene.arm.site], data.xpos, data.xquat, data.qpos
        self._no_object, self._no_part = np.zeros(len(names), bool), np.zeros(len(self._parts), bool)
        self._no_target = np.full((len(self._targets), 3), np.nan)
        self._places = [(index, self._place(target)) for index, target in enumerate(self._targets) if target]

    def read(self, *, closing: bool, goal: Sequence[bool] | None = None) -> Moment:
        """Facts after the last control step.

        Args:
            closing: whether its gripper command closed.
            goal: which terms of the goal hold, where that is known already; else they are evaluated.
        """
        gripper = self._gripper.copy()
        touching = self._gripper_contacts()
        touched, held = self._touched_objects(touching)
        poses = np.empty((len(self._bodies), 7))
        poses[:, :3], poses[:, 3:] = self._xpos.take(self._bodies, 0), self._xquat.take(self._bodies, 0)
        return Moment(
            gripper=gripper,
            closing=closing,
            poses=poses,
            touched=touched,
            held=held,
            goal=np.array(self.scene.goal.values() if goal is None else goal, bool),
            targets=self._target_positions(),
            travel=self._qpos.take(self._addresses),
            part_touched=self._touched_parts(touching),
            part_distance=np.array([self._distance(gripper, geoms) for geoms in self._part_geoms], float),
        )

    def _gripper_contacts(self) -> list[tuple[int, int]]:
        """Both geoms of every contact of the gripper, each contact once."""
        geoms = self._data.contact.geom.ravel()
        mine = self._side_of.take(geoms).nonzero()[0]
        if not mine.size:
            return []
        flat = geoms.tolist()
        return [(flat[2 * row], flat[2 * row + 1]) for row in {index // 2 for index in mine.tolist()}]

    def _touched_objects(self, touching: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """[n] bool twice: objects that the hand touches, and those that fingers of both sides touch."""
        if not touching:
            return self._no_object, self._no_object
        owners, sides = self._objects, self._sides
        touched, held, bits = self._no_object.copy(), self._no_object.copy(), {}
        for first, second in touching:
            owner = max(owners[first], owners[second])
            bits[owner] = bits.get(owner, 0) | max(sides[first], sides[second])
        bits.pop(-1, None)  # contacts with anything else
        for owner, bit in bits.items():
            touched[owner], held[owner] = True, bit & 3 == 3
        return touched, held

    def _touched_parts(self, touching: list[tuple[int, int]]) -> np.ndarray:
        """[p] bool: parts of fixtures that the hand touches."""
        if not touching or not self._part_sets:
            return self._no_part
        geoms = {geom for pair in touching for geom in pair}
        return np.array([not part.isdisjoint(geoms) for part in self._part_sets], bool)

    def _distance(self, gripper: np.ndarray, geoms: np.ndarray) -> float:
        if not geoms.size:
            return np.nan
        away = self._data.geom_xpos[geoms] - gripper
        away *= away
        return float(np.sqrt(away.sum(axis=1).min()))

    def _target_positions(self) -> np.ndarray:
        """[t, 3] where each term's object is to be; NaN where there is no such place."""
        if not self._places:
            return self._no_target
        out = self._no_target.copy()
        for index, place in self._places:
            out[index] = place
        return out

    def _place(self, target: tuple[str, int]) -> np.ndarray:
        """[3] view of the current position of a site or a body."""
        return (self._data.site_xpos if target[0] == "site" else self._data.xpos)[target[1]]

    def _geoms_of(self, names: tuple[str, ...]) -> np.ndarray:
        """[geoms] index of the object that each belongs to, else -1."""
        out = np.full(self._model.ngeom, -1)
        for index, name in enumerate(names):
            out[[self._model.geom(geom).id for geom in self.scene.inner.get_object(name).contact_geoms]] = index
        return out

    def _gripper_sides(self) -> np.ndarray:
        """[geoms] 1 for the left finger, 2 for the right one, 4 for the rest of the hand, 0 for all others."""
        gripper = self.scene.robot.gripper
        out = np.zeros(self._model.ngeom, int)
        out[[self._model.geom(name).id for name in gripper.contact_geoms]] = 4
        for bit, side in enumerate(SIDES):
            geoms = {*gripper.important_geoms[side], *gripper.important_geoms[f"{side}pad"]}
            out[[self._model.geom(name).id for name in geoms]] = 1 << bit
        return out

    def _roles(self, names: tuple[str, ...]) -> Roles:
        terms = tuple(self._term(term, names) for term in self.scene.goal.text)
        named = {name for term in self.scene.goal.text for name in term[1:]}
        return Roles(names, terms, tuple(index for index, name in enumerate(names) if name not in named))

    def _term(self, term: list[str], names: tuple[str, ...]) -> Term:
        states = [self.scene.inner.object_states_dict[name] for name in term[1:]]
        if term[0] in ("on", "in") and term[1] in names:
            self._targets.append(self._target(term[2], states[1]))
            return Term(wanted=names.index(term[1]))
        self._targets.append(None)
        joints = self._joints(states[0])
        if not joints:
            return Term()
        self._parts.append(joints)
        return Term(part=len(self._parts) - 1)

    def _target(self, name: str, state: Any) -> tuple[str, int] | None:
        """Kind and index of the place that an object is to be at."""
        if state.object_state_type == "site":
            return "site", self._model.site(state.object_name).id
        return "body", self.scene.inner.obj_body_id[name]

    def _joints(self, state: Any) -> list[str]:
        inner = self.scene.inner
        is_site = state.object_state_type == "site"
        owner = inner.object_sites_dict[state.object_name] if is_site else inner.get_object(state.object_name)
        return list(owner.joints)

    def _bodies_of(self, joints: list[str]) -> np.ndarray:
        return np.array([int(self._model.jnt_bodyid[self._model.joint(joint).id]) for joint in joints], int)
