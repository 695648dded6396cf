"""Closed-loop motion of the Google robot: a controller from the target pose of the gripper to the benchmark's next action.

An action is a displacement from the gripper's present pose; a planner brings the drives' targets there within a control step
of 1/3 s, and the over-damped joints follow with a lag of about two steps. So this is a proportional controller on the remaining
pose error with a step limit that decides the speed: it converges geometrically, without overshoot.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Array, Pose, clipped, log
from ..steps import Target
from .gripper import to_base

GAIN, TURN_GAIN = 1.4, 1.2
"""Proportional gains; above 1 because the joints lag within a step."""
LEASH, TURN_LEASH = 0.14, 0.40
"""Longest action: m (carries the gripper at about 35 mm a step), rad."""


class Controller:
    """Stateless controller of one episode."""

    full = np.repeat([LEASH, TURN_LEASH], 3)
    """[6] a full action: m, rad."""

    def __init__(self, base: Pose) -> None:
        self._base = base

    def action(self, gripper: Pose, target: Target) -> Array:
        """[7] action that brings the gripper nearer to the target: m, rad (axes of the robot's root), gripper."""
        move = clipped(GAIN * (target.pose.position - gripper.position), LEASH * target.speed)
        turn = clipped(TURN_GAIN * log(target.pose.rotation @ gripper.rotation.T), TURN_LEASH * target.speed)
        return np.concatenate([to_base(move, self._base), to_base(turn, self._base), [target.grip]])
