"""An episode of the WidowX in the physics process, with the members of `widowx.physics.WidowXPhysics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...grid import EpisodeSetup
from ...widowx_rules import WidowXRule
from ..widowx import constants
from ..widowx.scene import openings
from .request_widowx import widowx_request
from .scene import RemoteEpisode, RemoteRobot, RemoteScene

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


class RemoteWidowXPhysics(RemoteEpisode):
    """One episode; the counterpart of `widowx.physics.WidowXPhysics`."""

    scene_type = RemoteWidowXScene

    def __init__(self, process: PhysicsProcess, pack: Path, setup: EpisodeSetup, *, absolute: bool = False) -> None:
        """`absolute`: actions are poses."""
        super().__init__(process, setup, widowx_request(pack.absolute(), setup, absolute=absolute), constants.JOINTS)
        self.rule = WidowXRule(setup, self.now)
