"""LIBERO's goal predicates, compiled once per task into a few array look-ups.

Same truth values as LIBERO's own evaluation at every step (tests/envs/libero/test_goal.py), at a hundredth of its
cost; forms that no suite uses are delegated to LIBERO. Definitions: docs/reference/libero.md, from LIBERO's `object_states` and
`predicates`. Positions and contacts are those at the start of the last physics step (2 ms old), joint values are current,
as in LIBERO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Term = Callable[[], bool]

ON_RADIUS = 0.03
"""Largest horizontal distance (m) of the origins of two objects, one on the other."""


class Goal:
    """Goal of a built task."""

    def __init__(self, env: Any, model: Any, data: Any, text: Sequence[Sequence[str]] = ()) -> None:
        """Compile the goal of a robosuite environment over MuJoCo's own model and data; with `text`, that goal in its scene."""
        self.env, self.model, self.data = env, model, data
        self.text = [list(term) for term in text or env.parsed_problem["goal_state"]]
        self.terms = [self._compile(term) for term in self.text]

    def holds(self) -> bool:
        """Whether every term is true."""
        return all(term() for term in self.terms)

    def values(self) -> list[bool]:
        """Whether each term is true, in the order of `text`."""
        return [term() for term in self.terms]

    def _compile(self, term: list[str]) -> Term:
        predicate, states = term[0], [self.env.object_states_dict[name] for name in term[1:]]
        if predicate == "on" and states[1].object_state_type == "object":
            return self._on_object(term[1], term[2])
        if predicate == "on":
            return self._on_site(term[1], states[1])
        if predicate == "in" and states[1].object_state_type == "site":
            return self._in_site(term[1], states[1])
        if predicate in ("open", "close", "turnon"):
            return self._joint(predicate, states[0])
        return lambda: bool(self.env._eval_predicate(term))

    def _origin(self, name: str) -> np.ndarray:
        """View of an object's body origin, world frame, m."""
        return self.data.xpos[self.env.obj_body_id[name]]

    def _touching(self, first: str, second: str) -> Term:
        one, two = self._geoms(first), self._geoms(second)
        contact = self.data.contact

        def touching() -> bool:
            a, b = contact.geom1, contact.geom2
            return bool(np.any((one[a] & two[b]) | (two[a] & one[b])))

        return touching

    def _geoms(self, name: str) -> np.ndarray:
        mask = np.zeros(self.model.ngeom, bool)
        mask[[self.model.geom(geom).id for geom in self.env.get_object(name).contact_geoms]] = True
        return mask

    def _on_object(self, upper: str, lower: str) -> Term:
        a, b, touching = self._origin(upper), self._origin(lower), self._touching(lower, upper)
        return lambda: bool(b[2] <= a[2] and np.linalg.norm(b[:2] - a[:2]) < ON_RADIUS and touching())

    def _on_site(self, name: str, state: Any) -> Term:
        site = self.env.object_sites_dict[state.object_name]
        if not hasattr(site, "under"):
            return lambda: True
        parent = self.env.get_object(state.parent_name)
        touching = self._touching(state.parent_name, name) if parent is not None else (lambda: True)
        position, matrix = self._site(state.object_name)
        origin = self._origin(name)
        return lambda: bool(site.under(position, matrix, origin)) and touching()

    def _in_site(self, name: str, state: Any) -> Term:
        site = self.env.object_sites_dict[state.object_name]
        position, matrix = self._site(state.object_name)
        origin = self._origin(name)
        return lambda: bool(site.in_box(position, matrix, origin))

    def _site(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        index = self.model.site(name).id
        return self.data.site_xpos[index], self.data.site_xmat[index].reshape(3, 3)

    def _joint(self, predicate: str, state: Any) -> Term:
        owner = self.env.get_object(state.parent_name if state.object_state_type == "site" else state.object_name)
        joints = (self.env.object_sites_dict[state.object_name] if state.object_state_type == "site" else owner).joints
        test = {"open": "is_open", "close": "is_close", "turnon": "turn_on"}[predicate]
        decide = getattr(owner, test)
        addresses = [int(self.model.joint(joint).qposadr[0]) for joint in joints]
        every = all if predicate == "close" else any
        return lambda: every(decide(self.data.qpos[address]) for address in addresses)
