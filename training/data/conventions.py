"""Action conventions of third-party data sets, checked against LIBERO's.

LIBERO's: seven numbers, deltas of translation and rotation, and the gripper's command, -1 open and 1 close. Sets that came
through RLDS have an opening in its place (1 open, 0 closed), some have absolute poses, degrees or joints instead of deltas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ...envs.types import Array
from .demonstrations import DataError, Demonstration

Gripper = Literal["command", "opening", "closing"]
"""Convention of an action's last number. `command`: LIBERO's, -1 open and 1 close. `opening`: 1 open and 0 closed, or 1 open
and -1 closed where a set has negative ones. `closing`: 0 open and 1 closed."""
WIDTH = 7
OVER = 1.05
"""Largest magnitude of a gripper value on a known scale."""
TURNED = 1.5
"""rad; no step rotates the gripper as far, and a gripper that points down has such an absolute angle at all times."""
OPTION = "--gripper opening (1 is open), closing (1 is closed) or command (-1 is open, 1 closed)"


def with_command(
    demonstrations: Sequence[Demonstration], origin: Path, gripper: Gripper | None = None
) -> tuple[list[Demonstration], str]:
    """(demonstrations of one set with LIBERO's gripper command, note about the inferred convention).

    Args:
        demonstrations: as stored; at least one.
        origin: the set, for messages.
        gripper: convention of the last number; None: inferred from its values.

    Raises:
        DataError: actions that are not deltas, or a gripper of undetermined convention.
    """
    check_motion(demonstrations, origin)
    values = [demonstration.actions[:, -1] for demonstration in demonstrations]
    kind, note = (gripper, "") if gripper else _inferred(values, origin)
    every = np.concatenate(values)
    if np.abs(every).max() > OVER:
        raise DataError(
            f"{origin}: the actions' last number, the gripper, ranges {_range(every)}; known ranges: 0 to 1 and -1 to 1"
        )
    signed = bool(every.min() < 0)
    return [_changed(demonstration, kind, signed=signed) for demonstration in demonstrations], note


def _changed(demonstration: Demonstration, kind: Gripper, *, signed: bool) -> Demonstration:
    if kind == "command" or (kind == "closing" and signed):
        return demonstration
    found = {}
    for name in ("actions", "labels"):
        found[name] = getattr(demonstration, name).copy()
        closed = found[name][:, -1] if signed else 2.0 * found[name][:, -1] - 1.0
        found[name][:, -1] = closed if kind == "closing" else -closed
    return replace(demonstration, **found)


def _inferred(values: Sequence[Array], origin: Path) -> tuple[Gripper, str]:
    """(gripper convention, note), inferred from the values: episodes start with an open gripper."""
    every, first = np.concatenate(values), np.array([episode[0] for episode in values])
    if every.min() < -0.05:
        if np.mean(first > 0) > 0.5:
            raise DataError(
                _undetermined(origin, every, "and most episodes start with a positive one, which would be a closed gripper")
            )
        return "command", ""
    binary = np.mean(np.minimum(np.abs(every), np.abs(every - 1)) < 0.05)
    if binary < 0.95 or every.max() < 0.5:
        raise DataError(_undetermined(origin, every, "which matches neither a command nor 0 and 1"))
    if np.mean(first < 0.5) > 0.5:
        raise DataError(_undetermined(origin, every, "and most episodes start with 0, which would be a closed gripper"))
    return (
        "opening",
        f"{origin}: the actions' last number is 0 or 1, interpreted as an opening (1 open); --gripper closing overrides this",
    )


def _undetermined(origin: Path, every: Array, why: str) -> str:
    return f"{origin}: the actions' last number, the gripper, ranges {_range(every)}, {why}. State its convention: {OPTION}"


def _range(values: Array) -> str:
    return f"from {values.min():.3g} to {values.max():.3g}"


def check_motion(demonstrations: Sequence[Demonstration], origin: Path) -> None:
    """Raise DataError unless actions are seven numbers and deltas, in radians."""
    for demonstration in demonstrations:
        if demonstration.actions.shape[1] != WIDTH:
            raise DataError(
                f"{origin}: an action of {demonstration.key} has {demonstration.actions.shape[1]} numbers; nora-bench trains on "
                f"{WIDTH}: deltas of translation (3) and rotation (3), gripper"
            )
    actions = np.concatenate([demonstration.actions for demonstration in demonstrations])
    turns = np.abs(actions[:, 3:6])
    if np.quantile(turns, 0.99) > 2 * np.pi:
        raise DataError(f"{origin}: the actions' rotations go up to {turns.max():.4g}, which are degrees{_NEEDED}")
    if (np.median(turns, axis=0) > TURNED).any():
        axis = int(np.argmax(np.median(turns, axis=0)))
        raise DataError(f"{origin}: the actions' number {3 + axis} is {_range(actions[:, 3 + axis])}: an absolute angle{_NEEDED}")
    if (axis := _stays_away(demonstrations, actions)) is not None:
        raise DataError(
            f"{origin}: the actions' number {axis} is {_range(actions[:, axis])}, never near 0: absolute poses{_NEEDED}"
        )
    if _follows_state(demonstrations):
        raise DataError(
            f"{origin}: the actions' translations equal the gripper's position (observation.state): absolute poses{_NEEDED}"
        )


_NEEDED = ", not deltas. nora-bench trains on deltas, as LIBERO and SimplerEnv do. Convert the set first"


def _stays_away(demonstrations: Sequence[Demonstration], actions: Array) -> int | None:
    """An axis of translation that varies without ever being near 0, as positions do; None if there is none."""
    low, high = np.quantile(actions[:, :3], (0.01, 0.99), axis=0)
    least, most = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    moves = np.median([np.ptp(d.actions[:, :3], axis=0) for d in demonstrations], axis=0) > 1e-6
    away = moves & (low * high > 0) & (least > 0.2 * most)
    return int(np.flatnonzero(away)[0]) if away.any() else None


def _follows_state(demonstrations: Sequence[Demonstration]) -> bool:
    """Whether translations equal the gripper's position one step later, on at least two axes."""
    known = [d for d in demonstrations if d.robot_states.shape[1] >= 3 and len(d) > 2 and not d.states.shape[1]]
    if sum(map(len, known)) < 20:
        return False
    wanted = np.concatenate([d.actions[:-1, :3] for d in known])
    places = np.concatenate([d.robot_states[1:, :3] for d in known])
    wanted, places = wanted - wanted.mean(axis=0), places - places.mean(axis=0)
    spread = (places**2).mean(axis=0) * (wanted**2).mean(axis=0)
    product = (wanted * places).mean(axis=0)
    same = np.where(spread > 1e-12, product / np.sqrt(np.maximum(spread, 1e-12)), 0.0)
    slope = product / np.maximum((places**2).mean(axis=0), 1e-12)
    return int(((same > 0.95) & (slope > 0.8) & (slope < 1.25)).sum()) >= 2
