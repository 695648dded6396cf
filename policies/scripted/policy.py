"""The policy `scripted`: an expert that solves LIBERO's tasks from privileged state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...envs.base import Needs
from ..base import ActionChunk, BasePolicy, Observation
from .geometry import Array
from .motion import Tracker
from .plans import solve
from .scene import Scene


class Episode:
    """What the expert keeps about one episode."""

    def __init__(self, view: Mapping[str, Any]) -> None:
        self.scene = Scene(view)
        self._tracker = Tracker(self.scene.hand)
        self._plan = solve(self.scene)
        self.label = np.zeros(7)

    def decide(self, view: Mapping[str, Any]) -> Array:
        """[7] the expert's action at this look."""
        self.scene.update(view)
        self.label = self._tracker.action(self.scene.hand, next(self._plan))
        return self.label


class ScriptedPolicy(BasePolicy):
    """Solves LIBERO's tasks by scripted skills, closed loop, one action per decision.

    Args:
        noise: standard deviation of a slowly varying disturbance added to the six motion components of each action
            (1 is a full action), drawn from the episode's key. The expert steers against it; `label` has what it wanted.
    """

    needs = Needs(privileged=True)
    marks = ("privileged",)

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.stochastic = noise > 0.0
        self._episodes: dict[str, Episode] = {}

    def act_one(self, observation: Observation) -> ActionChunk:
        """The next action of the observation's episode."""
        view = observation.view.privileged
        if observation.decision == 0:
            self._episodes[observation.key] = Episode(view)
        action = self._episodes[observation.key].decide(view)
        return ActionChunk(action[None])

    def label(self, key: str) -> Array:
        """[7] the last action of an episode before noise: what a learner should imitate."""
        return self._episodes[key].label

    def forget(self, key: str) -> None:
        """Drop an episode."""
        self._episodes.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        """The options."""
        return {**super().fingerprint(), "noise": self.noise}
