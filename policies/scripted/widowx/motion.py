"""Motion of the WidowX: a controller from the target pose of the gripper to the benchmark's next action.

The environment accumulates actions into a commanded pose, which the over-damped joints follow with a lag of about a control step.
This controller knows the commanded pose, because it is a function of the actions, and moves it towards the target at a limited
speed; feedback on the measured pose would overshoot.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Array, Pose, clipped, exp, log
from ..steps import Target

LEASH, TURN_LEASH = 0.030, 0.30
"""Farthest that the commanded pose moves in a control step: m, rad."""


class Controller:
    """Controller of one episode; its state is the commanded pose."""

    full = np.repeat([LEASH, TURN_LEASH], 3)
    """[6] a full action: m, rad."""

    def __init__(self, base: Pose, gripper: Pose) -> None:
        """`base`: the robot's root. `gripper`: its gripper at reset, where the commanded pose starts."""
        self._base, self._commanded, self._measured = base, gripper, gripper

    def action(self, gripper: Pose, target: Target) -> Array:
        """[7] action that brings the gripper nearer to the target: m, rad (axes of the robot's root), gripper (> 0 opens)."""
        way = clipped(target.pose.position - self._commanded.position, LEASH * target.speed)
        turn = clipped(log(target.pose.rotation @ self._commanded.rotation.T), TURN_LEASH * target.speed)
        # The environment turns the commanded pose about the measured position.
        behind = self._commanded.position - gripper.position
        move = way + behind - exp(turn) @ behind
        self._measured = gripper
        action = np.concatenate([self._base.rotation.T @ move, self._base.rotation.T @ turn, [-target.grip]])
        self._before = self._commanded
        self._commanded = self._next(action)
        return action

    def replaced(self, action: Array) -> None:
        """Take over an action that was executed instead of the last one."""
        self._commanded = self._before
        self._commanded = self._next(action)

    def _next(self, action: Array) -> Pose:
        """The commanded pose after an action."""
        move, turn = self._base.rotation @ action[:3], exp(self._base.rotation @ action[3:6])
        pivot = self._measured.position
        return Pose(pivot + move + turn @ (self._commanded.position - pivot), turn @ self._commanded.rotation)
