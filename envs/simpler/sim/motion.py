"""Jerk-limited motions of joints, as upstream plans them with Ruckig, sampled at the physics steps of a control step.

Imports no simulator and stays within Python 3.10, because the interpreter of SAPIEN 2 reads it too. Radians, seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ruckig

from ...base import SimulationError
from .timing import PHYSICS_HZ, SUBSTEPS


@dataclass(frozen=True, slots=True)
class MotionPlan:
    """One motion sampled at the physics steps of one control step."""

    position: list[list[float]]
    """[1 + SUBSTEPS][joints]: row 0 is the start, the last row where the next plan begins."""
    velocity: list[list[float]]
    duration: float
    """Duration of the whole motion (s); a longer one is truncated, a shorter one rests at its end."""


class MotionPlanner:
    """Plans for joints that share their limits and arrive together (Ruckig's time synchronisation)."""

    def __init__(self, joints: int, *, velocity: float, acceleration: float, jerk: float) -> None:
        self._otg = ruckig.Ruckig(joints)
        self._motion = ruckig.Trajectory(joints)
        self._query = query = ruckig.InputParameter(joints)
        query.max_velocity = [velocity] * joints
        query.max_acceleration = [acceleration] * joints
        query.max_jerk = [jerk] * joints

    def plan(self, position: Sequence[float], velocity: Sequence[float], target: Sequence[float]) -> MotionPlan:
        """From `position` moving with `velocity`, at no acceleration, to rest at `target`.

        Raises:
            SimulationError: no motion exists within the limits (a number is not finite).
        """
        query, motion = self._query, self._motion
        query.current_position, query.current_velocity, query.target_position = position, velocity, target
        try:
            self._otg.calculate(query, motion)
        except ruckig.RuckigError as error:
            raise SimulationError(f"no motion to the joint target {list(target)}: {error}") from None
        end, at = motion.duration, motion.at_time
        rows = [at(min(k / PHYSICS_HZ, end)) for k in range(SUBSTEPS + 1)]
        return MotionPlan([row[0] for row in rows], [row[1] for row in rows], end)


class ArmController:
    """Arm controller; its state is the end of the last plan."""

    def __init__(self) -> None:
        self._planner = MotionPlanner(9, velocity=1.5, acceleration=2.0, jerk=50.0)
        self._end: tuple[list[float], list[float]] | None = None

    def plan(self, position: np.ndarray, velocity: np.ndarray, target: np.ndarray) -> MotionPlan:
        """Plan to `target` (rad) from the end of the last plan; the first starts at the measured position and velocity."""
        start, speed = self._end or (position.tolist(), np.clip(velocity, -1.5, 1.5).tolist())
        plan = self._planner.plan(start, speed, target.tolist())
        self._end = plan.position[-1], plan.velocity[-1]
        return plan
