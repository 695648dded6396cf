"""Moments of a SimplerEnv episode, from the snapshot that its success rule reads. Stays within Python 3.10."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..moments import Moment, Roles, Term
from ..rotations import Array
from .contacts import IMPULSE, Contact, Snapshot
from .grid import EpisodeSetup
from .placements import objects
from .rules import ROBOT_PREFIX, is_grasped
from .widowx_rules import LINKS, is_grasped as is_grasped_by_widowx


class MomentReader:
    """Reader of one episode."""

    def __init__(self, setup: EpisodeSetup, names: tuple[str, ...]) -> None:
        """`names`: movable objects in the order of `Snapshot.poses`."""
        self._names, self._widowx = names, setup.configuration.is_widowx
        placed = objects(setup)
        drawer = setup.configuration.subtask if "drawer" in setup.configuration.task else ""
        self._drawer = drawer
        self._target = placed.target
        part = 0 if drawer else None
        wanted = placed.source if placed.source is not None else (0 if names else None)
        term = Term(part=part) if drawer and not names else Term(wanted=wanted, part=part)
        named = {wanted, placed.target}
        self.roles = Roles(names, (term,), tuple(index for index in range(len(names)) if index not in named))

    def read(self, now: Snapshot, gripper: Array, *, closing: bool, success: bool) -> Moment:
        """Facts after a control step. `gripper`: [3] end effector, world frame."""
        contacts = [(contact, others) for contact in now.contacts if (others := self._touched_by_robot(contact))]
        touching = {name for contact, others in contacts if _counts(contact.impulse) for name in others}
        near = {name for _, others in contacts for name in others}
        robots = replace(now, contacts=[contact for contact, _ in contacts])
        target = now.centres[self._target] if self._target is not None else np.full(3, np.nan)
        travel = [now.drawers[self._drawer]] if self._drawer else []
        return Moment(
            gripper=gripper,
            closing=closing,
            poses=np.array(now.poses, float).reshape(-1, 7),
            touched=np.array([name in touching for name in self._names], bool),
            held=np.array([name in near and self._is_held(name, robots) for name in self._names], bool),
            goal=np.array([success]),
            targets=np.array([target]),
            travel=np.array(travel),
            part_touched=np.array([f"{self._drawer}_drawer" in touching] * len(travel), bool),
            part_distance=np.full(len(travel), np.nan),
        )

    def _is_held(self, name: str, now: Snapshot) -> bool:
        return is_grasped_by_widowx(name, now) if self._widowx else is_grasped(name, now.contacts, now.openings)

    def _touched_by_robot(self, contact: Contact) -> list[str]:
        """Other body of a contact of the robot's (both bodies, if it touches itself); empty for any other contact."""
        pair = ((contact.first, contact.second), (contact.second, contact.first))
        return [other for name, other in pair if self._is_robot(name)]

    def _is_robot(self, name: str) -> bool:
        return name in LINKS if self._widowx else name.startswith(ROBOT_PREFIX)


def _counts(impulse: Array) -> bool:
    return float(np.linalg.norm(impulse)) > IMPULSE
