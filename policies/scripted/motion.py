"""Closed-loop motion: a hand pose to go to becomes the benchmark's next action.

The expert never commands the pose it wants. It commands the speed that suits the way that is left: an action is a function
of where the hand is and where it is to go, but for a limit on its change, which rounds off the corners. How long the hand has
been slow, how far it lags, where it was: none of that is in a picture, and a learner shown actions that depend on it can
only learn their mean.
Numbers of the arm (robosuite's OSC_POSE at 20 Hz, measured): a constant unit action settles at 12.5 mm or, up to
half a unit, 0.12 rad a step per unit.
"""

from __future__ import annotations

import numpy as np

from .geometry import Array, Pose, clipped, log, norm
from .steps import Aim

STEP_POSITION, STEP_ROTATION = 0.0125, 0.12
"""What a constant unit action moves the hand in a step, settled: metres, radians."""
MAX_SPEED, MAX_TURN = 0.0112, 0.05
"""Metres, radians per step."""
RATE, TURN_RATE = 0.3, 0.3
"""Part of the way that is left which is gone in a step."""
LEAST, LEAST_WITHIN = 0.0015, 0.002
"""Speed that is kept almost to the end (m per step), because less does not overcome the arm's posture control where it is
stretched; and the distance within which it falls to 0, m."""
MAX_CHANGE = 0.3
"""Largest change of an action component between two steps."""


class Tracker:
    """Answers actions for one episode; keeps nothing between them but the last."""

    full = np.ones(6)
    """[6] a full action."""

    def __init__(self) -> None:
        self._last = np.zeros(6)

    def action(self, hand: Pose, aim: Aim) -> Array:
        """[7] action that brings the hand one step nearer to the aim."""
        way, turn = aim.pose.position - hand.position, log(aim.pose.rotation @ hand.rotation.T)
        wanted = np.concatenate([_speed(way, aim) / STEP_POSITION, clipped(TURN_RATE * turn, MAX_TURN) / STEP_ROTATION])
        self._last = self._last + np.clip(wanted - self._last, -MAX_CHANGE, MAX_CHANGE)
        return np.append(self._last, aim.grip)


def _speed(way: Array, aim: Aim) -> Array:
    """[3] m in the next step: slower, but never idle, towards the end of the way."""
    distance = norm(way)
    slowed = np.inf if aim.through else RATE * distance + LEAST * min(1.0, distance / LEAST_WITHIN)
    return way * (min(aim.speed * MAX_SPEED, slowed, distance) / max(distance, 1e-9))
