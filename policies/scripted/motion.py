"""Closed-loop motion in LIBERO: a controller from the target pose of the gripper to the benchmark's next action.

The speed is proportional to the remaining distance, within limits: apart from a limit on its change, which smooths corners, an
action is a function of the gripper's pose and its target. It does not depend on how long the gripper has been slow, how far it
lags or where it was: no image shows that, and a learner of actions that depend on it can only learn their mean.
Numbers of the arm (robosuite's OSC_POSE at 20 Hz, measured): a constant unit action settles at 12.5 mm or, up to
half a unit, 0.12 rad a step per unit.
"""

from __future__ import annotations

import numpy as np

from .geometry import Array, Pose, clipped, log, norm
from .steps import Target

STEP_POSITION, STEP_ROTATION = 0.0125, 0.12
"""Motion per step under a constant unit action, settled: metres, radians."""
MAX_SPEED, MAX_TURN = 0.0112, 0.05
"""Metres, radians per step."""
RATE, TURN_RATE = 0.3, 0.3
"""Part of the remaining way per step."""
LEAST, LEAST_WITHIN = 0.0015, 0.002
"""Lowest speed, kept almost to the end (m per step): less does not overcome the arm's posture control where it is
stretched; and the distance within which it falls to 0, m."""
MAX_CHANGE = 0.3
"""Largest change of an action component between two steps."""


class Controller:
    """Controller of one episode; its state is the last action."""

    full = np.ones(6)
    """[6] a full action."""

    def __init__(self) -> None:
        self._last = np.zeros(6)

    def action(self, gripper: Pose, target: Target) -> Array:
        """[7] action that brings the gripper one step nearer to the target."""
        way, turn = target.pose.position - gripper.position, log(target.pose.rotation @ gripper.rotation.T)
        wanted = np.concatenate([_speed(way, target) / STEP_POSITION, clipped(TURN_RATE * turn, MAX_TURN) / STEP_ROTATION])
        self._last = self._last + np.clip(wanted - self._last, -MAX_CHANGE, MAX_CHANGE)
        return np.append(self._last, target.grip)


def _speed(way: Array, target: Target) -> Array:
    """[3] m in the next step: slower, but never idle, towards the end of the way."""
    distance = norm(way)
    slowed = np.inf if target.through else RATE * distance + LEAST * min(1.0, distance / LEAST_WITHIN)
    return way * (min(target.speed * MAX_SPEED, slowed, distance) / max(distance, 1e-9))
