"""SimplerEnv's Google-robot tasks on SAPIEN 2.2.2: the original's physics in another process, everything else as `sim.env`."""

from __future__ import annotations

from pathlib import Path

from ....base import EnvOptions
from ....paths import cache_home
from ...grid import EpisodeSetup
from ..cabinet import DRAWERS
from ..env import INITIAL_OPENING, SapienEnv, start_position
from .process import PhysicsProcess
from .scene import RemotePhysics


class Sapien2Env(SapienEnv):
    """See `envs.base.Env` for the contract. Every episode runs in a process of its own, forked from one without a scene."""

    def __init__(self, options: EnvOptions) -> None:
        """As `SapienEnv`. Raises SuiteError where the interpreter of SAPIEN 2.2.2 is missing or does not start."""
        super().__init__(options)
        self._process = PhysicsProcess(Path(options.cache) if options.cache else cache_home())

    def _build(self, setup: EpisodeSetup) -> RemotePhysics:
        configuration = setup.configuration
        target = configuration.subtask if configuration.task == "close_drawer" else ""
        drawers = [INITIAL_OPENING if drawer == target else 0.0 for drawer in DRAWERS]
        return RemotePhysics(self._process, self._pack, setup, start_position(setup), drawers)

    def close(self) -> None:
        """Forget the episode and end the process."""
        super().close()
        self._process.close()
