"""Perturbations of demonstrations, so that they contain recoveries.

The perturbed action is executed and the expert's own action is the label. Smooth noise displaces the gripper slightly at
all times; pushes displace it by centimetres. Steps under a push are marked, and chunks that overlap one are no examples.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...envs.types import Array

MOVING = 0.15
"""Norm of an action's motion below which the gripper counts as standing still."""
GRIPPING = 12
"""Control steps that closing or opening the fingers takes, with a margin."""
LOW = 0.12
"""Metres above the lowest object's origin below which pushes only go upwards."""


@dataclass(frozen=True, slots=True)
class PerturbationConfig:
    """Perturbation of an expert, in units of a full action. The defaults are for LIBERO's 20 Hz."""

    noise_std: float = 0.03
    """Standard deviation of the smooth noise, for each of the six numbers of motion."""
    memory: float = 0.7
    """AR(1) coefficient of the smooth noise."""
    push_probability: float = 0.03
    """Probability per step that a push starts, where one may."""
    push_steps: tuple[int, int] = (3, 7)
    """Fewest and most control steps of a push."""
    push_strength: tuple[float, float] = (0.4, 1.0)
    follow: float = 0.3
    """Share of the expert's motion that is executed during a push."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able, under the names in demonstrations and fingerprints of format 1."""
        return {STORED.get(name, name): value for name, value in asdict(self).items()}


STORED = {"noise_std": "smooth", "push_probability": "push_chance"}
"""Fields whose stored names differ."""


class Perturbation:
    """Perturbation of one episode, step by step."""

    def __init__(self, config: PerturbationConfig) -> None:
        self.config = config
        self._smooth = np.zeros(6)
        self._push = np.zeros(6)
        self._left = 0
        self._grip: float | None = None
        self._since_grip = GRIPPING

    def apply(self, action: Array, height: float, rng: np.random.Generator) -> tuple[Array, bool]:
        """(action to execute, whether a push is part of it).

        Args:
            action: [7] the expert's.
            height: of the gripper above the lowest object's origin, m.
            rng: generator of this step.
        """
        config = self.config
        fresh = rng.normal(0.0, config.noise_std * np.sqrt(1.0 - config.memory**2), 6)
        self._smooth = config.memory * self._smooth + fresh
        self._track_gripper(action)
        self._left = self._left - 1 if self._may_push(action) else 0
        if self._left <= 0 and self._may_push(action) and rng.random() < config.push_probability:
            self._start_push(height, rng)
        pushed = self._left > 0
        motion = config.follow * action[:6] + self._push if pushed else action[:6]
        return np.append(np.clip(motion + self._smooth, -1.0, 1.0), action[6]), pushed

    def _track_gripper(self, action: Array) -> None:
        """Count the steps since the last change of the gripper command."""
        changed = self._grip is not None and action[6] != self._grip
        self._since_grip = 0 if changed else self._since_grip + 1
        self._grip = float(action[6])

    def _may_push(self, action: Array) -> bool:
        """Never while the gripper stands still, or its fingers move."""
        return float(np.linalg.norm(action[:6])) > MOVING and self._since_grip >= GRIPPING

    def _start_push(self, height: float, rng: np.random.Generator) -> None:
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        if height < LOW:
            direction[2] = abs(direction[2])
        self._push = np.append(rng.uniform(*self.config.push_strength) * direction, np.zeros(3))
        low, high = self.config.push_steps
        self._left = int(rng.integers(low, high + 1))
