"""The scene as success rules read it after a control step, and its contacts.

Metres, newton seconds; world frame; stays within Python 3.10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..rotations import Array

IMPULSE = 1e-6
"""Smallest impulse that counts as contact."""
GRASP_STEPS = 5
"""Consecutive control steps that make a grasp count as consecutive."""
SIDES = {
    "left": ("link_finger_left", "link_finger_tip_left"),
    "right": ("link_finger_right", "link_finger_tip_right"),
}
"""Side of the Google robot's hand -> its finger and its tip."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Contact between two bodies in the last physics step."""

    first: str
    """Name of the actor or link on which `impulse` acts."""
    second: str
    impulse: Array
    """[3] summed over their contact points."""
    part: int | None = None
    """Collision shape of a cabinet's link that touches, in the order of its URDF; None where neither body is such a link."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of the scene after a control step that success depends on."""

    poses: Array = field(default_factory=lambda: np.zeros((0, 7)))
    """[objects, 7] x y z, qw qx qy qz of each object's actor, in the order of `placements.objects`."""
    centres: Array = field(default_factory=lambda: np.zeros((0, 3)))
    """[objects, 3] centres of mass."""
    drawers: Mapping[str, float] = field(default_factory=dict)
    """`top`, `middle`, `bottom` -> travel."""
    contacts: Sequence[Contact] = ()
    """Contacts of the objects; others may be omitted."""
    openings: Mapping[str, Array] = field(default_factory=dict)
    """Finger and tip link -> [3] its +y axis, the opening direction."""


def impulse_on(body: str, other: str, contacts: Sequence[Contact]) -> Array:
    """[3] impulse of `other` on `body`."""
    total = np.zeros(3)
    for contact in contacts:
        if (contact.first, contact.second) == (body, other):
            total += contact.impulse
        elif (contact.second, contact.first) == (body, other):
            total -= contact.impulse
    return total


def angle_between(a: Array, b: Array) -> float:
    """Angle (rad) between two vectors; a right angle if one is zero."""
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.arccos(np.clip(a @ b / size, -1.0, 1.0))) if size > 0 else np.pi / 2
