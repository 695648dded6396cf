"""An episode of the WidowX in the physics process, with the members of `widowx.physics.WidowXPhysics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....base import SimulationError
from ...grid import EpisodeSetup
from ...widowx_rules import WidowXRule
from ..widowx import constants
from ..widowx.scene import openings
from .request_widowx import widowx_request
from .scene import RemoteRobot, RemoteScene

if TYPE_CHECKING:
    from .process import PhysicsProcess


class RemoteWidowXRobot(RemoteRobot):
    """Robot after the last control step; arrays have 8 numbers, in `widowx.constants.JOINTS` order."""

    joints, fingers, end_effector_link = constants.JOINTS, constants.FINGERS, constants.END_EFFECTOR


class RemoteWidowXScene(RemoteScene):
    """Scene after the last control step."""

    robot_type = RemoteWidowXRobot

    def _openings(self) -> dict[str, np.ndarray]:
        """Finger -> [3] its opening direction (world)."""
        return openings(self.robot.links)


class RemoteWidowXPhysics:
    """One episode; the counterpart of `widowx.physics.WidowXPhysics`."""

    def __init__(self, process: PhysicsProcess, pack: Path, setup: EpisodeSetup, *, absolute: bool = False) -> None:
        """`absolute`: actions are poses."""
        self.setup = setup
        request = widowx_request(pack, setup, absolute=absolute)
        self._process, answer = process, process.begin(request)
        if answer["joints"] != list(constants.JOINTS):
            raise SimulationError(f"the robot's joints are in the order {answer['joints']}, not {list(constants.JOINTS)}")
        self.scene = RemoteWidowXScene([each["name"] for each in request["objects"]], answer["bounds"], answer["state"])
        self.rule = WidowXRule(setup, self.scene.snapshot())
        self.ik_success = True

    @property
    def robot(self) -> RemoteRobot:
        """The robot."""
        return self.scene.robot

    def step(self, action: np.ndarray) -> bool:
        """Execute one control step; whether the goal holds after it. Raises SimulationError if a number is not finite."""
        if not np.isfinite(action).all():
            raise SimulationError(f"the action has a number that is not finite: {action}")
        answer = self._process.step(np.asarray(action, np.float64).tolist())
        self.ik_success = answer["ik_success"]
        self.scene.update(answer["state"])
        if not np.isfinite(self.scene.state()).all():
            raise SimulationError("the simulation became unstable: a position or velocity is not finite")
        return self.rule.step(self.scene.snapshot())
