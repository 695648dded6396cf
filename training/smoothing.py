"""Labels without the jitter of an expert that steers against noise.

An expert that is disturbed corrects itself at every step: its labels jump by what no picture tells. The mean over
neighbouring steps keeps where it was going (docs/training.md has what that is worth).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from .demonstrations import Demonstration

Array = np.ndarray
REACH = 3
"""Standard deviations on each side that count."""


def smoothed(demonstration: Demonstration, width: float) -> Demonstration:
    """The demonstration with labels averaged along time; the gripper's stay as they are.

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
    """[(first, after last)]: steps over which motion is one: no change of the gripper within, no begin or end of a push."""
    kinds = np.stack([demonstration.labels[:, -1], demonstration.pushed], axis=1)
    breaks = np.flatnonzero((np.diff(kinds, axis=0) != 0).any(axis=1)) + 1
    edges = [0, *breaks.tolist(), len(demonstration)]
    return [*pairwise(edges)]


def _averaged(rows: Array, width: float) -> Array:
    """[steps, n]: the weighted mean around each step, over the steps that there are."""
    apart = np.subtract.outer(np.arange(len(rows)), np.arange(len(rows)))
    weights = np.exp(-0.5 * (apart / width) ** 2) * (np.abs(apart) <= REACH * width)
    return weights @ rows / weights.sum(axis=1, keepdims=True)
