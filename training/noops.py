"""Steps in which nothing is done. LIBERO's human demonstrations pause; a policy that learns to pause never goes on.

The rule is that of OpenVLA's no-op-free LIBERO sets, on which the NORA family's checkpoints were tuned as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .demonstrations import Demonstration

Array = np.ndarray
THRESHOLD = 1e-4
"""Norm of the first six numbers of an action below which it moves nothing."""


def acting(actions: Array, threshold: float = THRESHOLD) -> Array:
    """[steps] bool: steps that move the hand, or whose gripper command differs from that of the last step that counts.

    For the first step only the norm counts.
    """
    keep = np.linalg.norm(actions[:, :-1], axis=1) >= threshold
    last = None
    for step, gripper in enumerate(actions[:, -1]):
        keep[step] |= last is not None and gripper != last
        if keep[step]:
            last = gripper
    return keep


def without_noops(demonstration: Demonstration, threshold: float = THRESHOLD) -> Demonstration:
    """The demonstration without the steps in which the expert does nothing. Its actions do not replay to its states."""
    keep = acting(demonstration.labels, threshold)
    rows = ("actions", "states", "labels", "pushed", "robot_states")
    kept = {name: getattr(demonstration, name)[keep] for name in rows}
    seen, source = demonstration.seen_qpos, demonstration.source
    source = source and replace(source, rows=source.rows[keep])
    return replace(demonstration, **kept, seen_qpos=None if seen is None else seen[keep], source=source)
