"""Filters of demonstrations: removal of no-ops, smoothing of labels.

LIBERO's human demonstrations pause; a policy that learns to pause may never resume. The rule is that of OpenVLA's no-op-free
LIBERO sets, on which the NORA family's checkpoints were fine-tuned as well.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ...envs.types import Array
from .demonstrations import Demonstration

THRESHOLD = 1e-4
"""Norm of the first six numbers of an action below which it is a no-op."""


def acting(actions: Array, threshold: float = THRESHOLD) -> Array:
    """[steps] bool: steps that move the gripper, or whose gripper command differs from that of the last kept step.

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
    """The demonstration without no-ops. Replaying its actions does not reproduce its states."""
    keep = acting(demonstration.labels, threshold)
    rows = ("actions", "states", "labels", "pushed", "robot_states")
    kept = {name: getattr(demonstration, name)[keep] for name in rows}
    seen, source = demonstration.seen_qpos, demonstration.source
    source = source and replace(source, rows=source.rows[keep])
    return replace(demonstration, **kept, seen_qpos=None if seen is None else seen[keep], source=source)


REACH = 3
"""Half width of the window, in standard deviations."""


def smoothed(demonstration: Demonstration, width: float) -> Demonstration:
    """The demonstration with labels smoothed along time, except for the gripper's.

    Args:
        demonstration: with labels [steps, action size].
        width: standard deviation of the Gaussian weights, in steps; 0 changes nothing.
    """
    if not width:
        return demonstration
    labels = demonstration.labels.copy()
    for first, last in _stretches(demonstration):
        labels[first:last, :-1] = _averaged(labels[first:last, :-1], width)
    return replace(demonstration, labels=labels)


def _stretches(demonstration: Demonstration) -> list[tuple[int, int]]:
    """[(first, after last)] step ranges without a change of the gripper command or of being pushed."""
    kinds = np.stack([demonstration.labels[:, -1], demonstration.pushed], axis=1)
    breaks = np.flatnonzero((np.diff(kinds, axis=0) != 0).any(axis=1)) + 1
    edges = [0, *breaks.tolist(), len(demonstration)]
    return [*pairwise(edges)]


def _averaged(rows: Array, width: float) -> Array:
    """[steps, n]: weighted mean around each step, over existing steps."""
    apart = np.subtract.outer(np.arange(len(rows)), np.arange(len(rows)))
    weights = np.exp(-0.5 * (apart / width) ** 2) * (np.abs(apart) <= REACH * width)
    return weights @ rows / weights.sum(axis=1, keepdims=True)
