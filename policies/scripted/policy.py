"""The policy `scripted`: an expert that solves LIBERO's tasks from privileged state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.base import Needs
from ..base import ActionChunk, BasePolicy, Observation, PolicyError
from .geometry import Array
from .motion import Tracker
from .plans import solve
from .scene import Scene

MEMORY = 0.9
"""Part of a disturbance that is left after a step: it pushes one way for about ten steps."""


class Episode:
    """What the expert keeps about one episode: the scene, its plan, the reference it follows, and the disturbance."""

    def __init__(self, view: Mapping[str, Any]) -> None:
        self.scene = Scene(view)
        self.label = np.zeros(7)
        self._tracker = Tracker(self.scene.hand)
        self._plan = solve(self.scene)
        self._disturbance = np.zeros(6)

    def decide(self, view: Mapping[str, Any]) -> Array:
        """[7] what the expert does at this look; kept as `label`."""
        self.scene.update(view)
        self.label = self._tracker.action(self.scene.hand, next(self._plan))
        return self.label

    def disturbed(self, noise: float, rng: np.random.Generator) -> Array:
        """[7] the label with its motion disturbed; the gripper is left alone."""
        fresh = rng.normal(0.0, noise * np.sqrt(1.0 - MEMORY**2), 6)
        self._disturbance = MEMORY * self._disturbance + fresh
        return np.append(np.clip(self.label[:6] + self._disturbance, -1.0, 1.0), self.label[6])


class ScriptedPolicy(BasePolicy):
    """Solves LIBERO's tasks by scripted skills, closed loop, one action per decision.

    Args:
        noise: standard deviation of a slowly varying disturbance of the six motion components of each action (1 is a
            full action), drawn from the episode's key. The expert steers against it; `label` tells what it wanted.
    """

    needs = Needs(privileged=True)
    marks = ("privileged",)

    def __init__(self, noise: float = 0.0) -> None:
        if not 0.0 <= noise <= 1.0:
            raise PolicyError(f"noise must be between 0 and 1, not {noise}; e.g. --policy-arg noise=0.1")
        self.noise = noise
        self.stochastic = noise > 0.0
        self._episodes: dict[str, Episode] = {}

    def act_one(self, observation: Observation) -> ActionChunk:
        """The next action of the observation's episode."""
        episode = self._episode(observation)
        action = episode.decide(observation.view.privileged)
        if self.noise > 0.0:
            action = episode.disturbed(self.noise, observation.rng())
        return ActionChunk(action[None])

    def label(self, key: str) -> Array:
        """[7] the last action of an episode before its disturbance: what a learner should imitate."""
        return self._episodes[key].label

    def forget(self, key: str) -> None:
        """Drop an episode."""
        self._episodes.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        """Its option, and a digest of the expert's own code: a changed expert is another policy."""
        return {**super().fingerprint(), "noise": self.noise, "code": _digest()}

    def _episode(self, observation: Observation) -> Episode:
        if observation.decision == 0:
            if "scene" not in observation.view.privileged:
                raise PolicyError(f"scripted needs a privileged view of {observation.spec.suite}; only LIBERO's worlds give one")
            self._episodes[observation.key] = Episode(observation.view.privileged)
        return self._episodes[observation.key]


def _digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.name.encode() + source.read_bytes() for source in sources)).hexdigest()[:16]
