"""Recorded scenes of the WidowX as its success rule reads them. Contacts and finger impulses are recorded."""

from __future__ import annotations

import numpy as np

from ...rotations import rotate
from ..contacts import Contact, Snapshot
from ..recordings import Recording
from ..widowx_tasks import FINGERS

PUSH = np.array([0.0, 1e-3, 0.0])
"""A clear contact (N s)."""


def snapshot(recording: Recording, row: int) -> Snapshot:
    """The recorded scene of one row of states; row 0 is the settled scene."""
    arrays = recording.arrays
    centres = np.array([arrays["src_com_world"][row], arrays["tgt_com_world"][row]], np.float64)
    axis = rotate(np.asarray(arrays["tcp_pose_world"][row][3:], np.float64), np.array([0.0, 1.0, 0.0]))
    openings = {link: sign * axis for link, sign in FINGERS.items()}
    contacts = _contacts(recording, row - 1) if row else []
    return Snapshot(np.asarray(arrays["obj_pose_world"][row], np.float64), centres, {}, contacts, openings)


def _contacts(recording: Recording, step: int) -> list[Contact]:
    source = recording.facts["object_names"][0]
    sides = zip(FINGERS, ("finger_impulse_left", "finger_impulse_right"), strict=True)
    found = [Contact(link, source, np.asarray(recording.arrays[name][step], np.float64)) for link, name in sides]
    return [*found, Contact("arena", source, PUSH)] if recording.arrays["src_touches_other"][step] else found
