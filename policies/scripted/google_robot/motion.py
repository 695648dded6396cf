"""Closed-loop motion of the Google robot: a hand pose to go to becomes the benchmark's next action.

An action moves a goal away from where the hand *is*; a planner then brings the drives' targets there within a
control step of 1/3 s, and the over-damped joints follow with a lag of about two steps. So the hand approaches
geometrically, without overshoot, and an action is the way that is left, cut to a leash that decides the speed.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Array, Pose, clipped, log
from ..steps import Aim
from .gripper import to_base

GAIN, TURN_GAIN = 1.4, 1.2
"""Of the way that is left: what the lag of the joints takes away within a step."""
LEASH, TURN_LEASH = 0.14, 0.40
"""Longest action: m (carries the hand at about 35 mm a step), rad."""


class Tracker:
    """Answers actions for one episode; keeps nothing between them."""

    full = np.repeat([LEASH, TURN_LEASH], 3)
    """[6] a full action: m, rad."""

    def __init__(self, base: Pose) -> None:
        self._base = base

    def action(self, hand: Pose, aim: Aim) -> Array:
        """[7] action that brings the hand nearer to the aim: m, rad (axes of the robot's root), gripper."""
        move = clipped(GAIN * (aim.pose.position - hand.position), LEASH * aim.speed)
        turn = clipped(TURN_GAIN * log(aim.pose.rotation @ hand.rotation.T), TURN_LEASH * aim.speed)
        return np.concatenate([to_base(move, self._base), to_base(turn, self._base), [aim.grip]])
