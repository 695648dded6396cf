"""Simulation of one WidowX episode: scene, controller, success rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....base import SimulationError
from ...grid import EpisodeSetup
from ...placements import objects
from ...rules import SuccessRule
from ...widowx_rules import WidowXRule
from ..settling import SettledObjects, place_objects
from .constants import START
from .controller import Command, WidowXController
from .scene import CONTROL_SOLVER, WidowXScene


class WidowXPhysics:
    """The counterpart of `PhysicsScene` for the WidowX."""

    def __init__(
        self,
        pack: Path,
        setup: EpisodeSetup,
        settled: SettledObjects,
        qpos: np.ndarray | None = None,
        *,
        absolute: bool = False,
    ) -> None:
        """Start from settled objects and joint positions (`qpos`, [8], order of `robot.JOINTS`; None: those of the set-up).

        `absolute`: actions are poses (see `WidowXController`).
        """
        self.setup = setup
        self.scene = WidowXScene(pack, setup.configuration, CONTROL_SOLVER)
        self.robot = self.scene.add_robot()
        place_objects(self.scene, objects(setup), settled)
        self.scene.add_sink()
        self.robot.place(setup.robot, np.array(START[setup.configuration.robot]) if qpos is None else qpos)
        self._controller = WidowXController(self.robot, absolute=absolute)
        self.drive: Command | None = None
        """Targets of the last control step."""
        self.now = self.scene.snapshot()
        """What the last control step, or the start, left: success and moments read the same snapshot."""
        self.rule: SuccessRule = WidowXRule(setup, self.now)

    def step(self, action: np.ndarray) -> bool:
        """Execute one control step; whether the goal holds after it. Raises SimulationError if a number is not finite."""
        if not np.isfinite(action).all():
            raise SimulationError(f"the action has a number that is not finite: {action}")
        self.drive = self._controller.plan(action)
        self.scene.step(self.drive)
        if not np.isfinite(self.scene.state()).all():
            raise SimulationError("the simulation became unstable: a position or velocity is not finite")
        self.now = self.scene.snapshot()
        return self.rule.step(self.now)
