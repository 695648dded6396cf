"""Moments of a LIBERO episode: reads of MuJoCo's arrays, tens of microseconds per control step.

Positions and contacts are those at the start of the last physics step (2 ms old), as for the goal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...moments import Moment, Roles, Term
from .scene import LiberoScene

SIDES = ("left_finger", "right_finger")
"""Groups of the gripper's geoms that hold from either side; the pads belong to them."""


class MomentReader:
    """Reader of one built task."""

    def __init__(self, scene: LiberoScene) -> None:
        self.scene, self._model, self._data = scene, scene.model, scene.data
        inner = scene.inner
        names = tuple(inner.objects_dict)
        self._bodies = np.array([inner.obj_body_id[name] for name in names], int)
        self._object_of = self._geoms_of(names)
        self._side_of = self._gripper_sides()
        self._parts: list[list[str]] = []
        self._targets: list[tuple[str, int] | None] = []
        self.roles = self._roles(names)
        self._addresses = np.array([int(self._model.joint(joints[0]).qposadr[0]) for joints in self._parts], int)
        self._part_bodies = [self._bodies_of(joints) for joints in self._parts]
        self._part_geoms = [np.flatnonzero(np.isin(self._model.geom_bodyid, bodies)) for bodies in self._part_bodies]

    def read(self, *, closing: bool, success: bool | None = None) -> Moment:
        """Facts after the last control step.

        Args:
            closing: whether its gripper command closed.
            success: whether the goal holds, where that is known; saves evaluating a goal of one term again.
        """
        data, count, terms = self._data, len(self._bodies), self.scene.goal.terms
        known = success is not None and len(terms) == 1
        gripper = data.site_xpos[self.scene.arm.site].copy()
        touching = self._gripper_contacts()
        bits = [0] * (count + 1)  # the last gathers contacts with anything else: index -1
        for first, second, side in touching:
            bits[max(self._object_of[first], self._object_of[second])] |= side
        touched_geoms = {geom for first, second, _ in touching for geom in (first, second)}
        poses = np.concatenate([data.xpos[self._bodies], data.xquat[self._bodies]], axis=1)
        return Moment(
            gripper=gripper,
            closing=closing,
            poses=poses,
            touched=np.array([bit > 0 for bit in bits[:count]], bool),
            held=np.array([bit & 3 == 3 for bit in bits[:count]], bool),
            goal=np.array([success] if known else [term() for term in terms], bool),
            targets=self._target_positions(),
            travel=data.qpos[self._addresses],
            part_touched=np.array([not touched_geoms.isdisjoint(geoms.tolist()) for geoms in self._part_geoms], bool),
            part_distance=np.array([self._distance(gripper, geoms) for geoms in self._part_geoms]),
        )

    def _gripper_contacts(self) -> list[tuple[int, int, int]]:
        """Both geoms and the side (see `_gripper_sides`) of every contact of the gripper."""
        pairs = self._data.contact.geom
        if not len(pairs):
            return []
        sides = self._side_of[pairs].max(axis=1)
        mine = np.flatnonzero(sides)
        return [(*pairs[row].tolist(), int(sides[row])) for row in mine]

    def _distance(self, gripper: np.ndarray, geoms: np.ndarray) -> float:
        return float(np.linalg.norm(self._data.geom_xpos[geoms] - gripper, axis=1).min()) if geoms.size else np.nan

    def _target_positions(self) -> np.ndarray:
        data, out = self._data, np.full((len(self._targets), 3), np.nan)
        for index, target in enumerate(self._targets):
            if target is not None:
                out[index] = data.site_xpos[target[1]] if target[0] == "site" else data.xpos[target[1]]
        return out

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
