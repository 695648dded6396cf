"""From an episode to what a policy learns at each step: the next actions, and how the last steps are filled up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Array = np.ndarray
End = Literal["repeat", "still", "released", "drop"]


@dataclass(frozen=True, slots=True)
class Chunking:
    """How episodes are cut."""

    length: int = 5
    """Actions per chunk."""
    end: End = "repeat"
    """What stands for actions after the last one. `repeat`: the last action (NORA-1.5's LeRobot loader). `still`: no motion,
    gripper as it was. `released`: normalised zeros, which is the middle of the range and not stillness, gripper as it was
    (NORA's RLDS loader). `drop`: nothing; such chunks are left out (the post-training loader)."""
    delta: bool = False
    """Subtract the first six numbers of the present state from every action: for sets of absolute poses."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of an episode that begin at certain steps."""

    starts: Array
    """[chunks] int: the steps at which they begin."""
    actions: Array
    """[chunks, length, action size] float64, not normalised."""
    real: Array
    """[chunks, length] bool: actions that the episode holds; the others fill up."""


def cut(actions: Array, steps: Sequence[int] | Array, chunking: Chunking, *, spoilt: Array | None = None) -> Chunks:
    """The chunks that begin at the given steps.

    Args:
        actions: [episode's steps, action size].
        steps: where chunks may begin.
        chunking: how.
        spoilt: [episode's steps] bool, steps that no chunk may touch (pushes).
    """
    starts = np.asarray(steps, int)
    index = starts[:, None] + np.arange(chunking.length)
    real = index < len(actions)
    index = np.minimum(index, len(actions) - 1)
    usable = real.all(axis=1) if chunking.end == "drop" else np.ones(len(starts), bool)
    if spoilt is not None:
        usable &= ~(spoilt[index] & real).any(axis=1)
    chunks = actions[index]
    if chunking.end == "still":
        chunks[~real, :-1] = 0.0
    return Chunks(starts[usable], chunks[usable], real[usable])


def subtract_state(chunks: Array, states: Array) -> Array:
    """[chunks, length, action size]: the first six numbers relative to [chunks, 6 or more] states; gripper untouched."""
    relative = chunks.copy()
    relative[..., :6] -= states[:, None, :6]
    return relative


def fill_released(normalised: Array, real: Array) -> Array:
    """The released filling, which is applied after normalisation: zeros for motion, the gripper as it is."""
    filled = normalised.copy()
    filled[~real, :-1] = 0.0
    return filled
