"""Disturbances for demonstrations: a learner must see how an expert comes back to its way.

What a disturbance adds is executed and the expert's own action is what is to be learned. Smooth noise keeps the hand
slightly off its way all the time; pushes throw it off by centimetres. Steps under a push are marked, because what was
executed there is nothing to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...envs.types import Array

MOVING = 0.15
"""Norm of an action's motion below which the hand counts as standing still."""
GRIPPING = 12
"""Control steps that the fingers take to close or to open, and to be sure of it."""
LOW = 0.12
"""Metres above the lowest object's origin below which the hand is pushed upwards only."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How much an expert is disturbed, in units of a full action. The defaults are for LIBERO's 20 Hz."""

    smooth: float = 0.03
    """Standard deviation of the smooth noise, for each of the six numbers of motion."""
    memory: float = 0.7
    """Part of the smooth noise that is left after a step."""
    push_chance: float = 0.03
    """Of a push to begin at a step where it may."""
    push_steps: tuple[int, int] = (3, 7)
    """Fewest and most steps of a push."""
    push_strength: tuple[float, float] = (0.4, 1.0)
    follow: float = 0.3
    """Part of the expert's motion that is executed beside a push."""


class Disturbance:
    """The disturbance of one episode, step by step."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise
        self._smooth = np.zeros(6)
        self._push = np.zeros(6)
        self._left = 0
        self._grip: float | None = None
        self._since_grip = GRIPPING

    def apply(self, action: Array, height: float, rng: np.random.Generator) -> tuple[Array, bool]:
        """What is executed instead of the expert's action, and whether a push is part of it.

        Args:
            action: [7] of the expert.
            height: of the hand above the lowest object's origin, m.
            rng: this step's randomness.
        """
        noise = self.noise
        fresh = rng.normal(0.0, noise.smooth * np.sqrt(1.0 - noise.memory**2), 6)
        self._smooth = noise.memory * self._smooth + fresh
        self._watch(action)
        self._left = self._left - 1 if self._may_push(action) else 0
        if self._left <= 0 and self._may_push(action) and rng.random() < noise.push_chance:
            self._begin(height, rng)
        pushed = self._left > 0
        motion = noise.follow * action[:6] + self._push if pushed else action[:6]
        return np.append(np.clip(motion + self._smooth, -1.0, 1.0), action[6]), pushed

    def _watch(self, action: Array) -> None:
        """Remember when the fingers were last told to move the other way."""
        changed = self._grip is not None and action[6] != self._grip
        self._since_grip = 0 if changed else self._since_grip + 1
        self._grip = float(action[6])

    def _may_push(self, action: Array) -> bool:
        """Never while the hand stands still, to close or to open above all."""
        return float(np.linalg.norm(action[:6])) > MOVING and self._since_grip >= GRIPPING

    def _begin(self, height: float, rng: np.random.Generator) -> None:
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        if height < LOW:
            direction[2] = abs(direction[2])
        self._push = np.append(rng.uniform(*self.noise.push_strength) * direction, np.zeros(3))
        low, high = self.noise.push_steps
        self._left = int(rng.integers(low, high + 1))
