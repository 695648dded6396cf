"""A policy that fails as ordered (`orders`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from nora_bench.envs.base import ObservationSpec
from nora_bench.policies.base import ActionChunk, BasePolicy, Observation, PolicyContext

from . import orders

ANSWERS: dict[str, Callable[[], Any]] = {
    "nan": lambda: ActionChunk(np.full((1, 1), np.nan)),
    "infinite": lambda: ActionChunk(np.full((1, 1), np.inf)),
    "wide": lambda: ActionChunk(np.zeros((1, 3))),
    "empty": lambda: ActionChunk(np.zeros((0, 1))),
    "deep": lambda: ActionChunk(np.zeros((1, 1, 1))),
    "text": lambda: ActionChunk(np.array([["left"]])),
    "objects": lambda: ActionChunk(np.array([[object()]])),
    "complex": lambda: ActionChunk(np.array([[1j]])),
    "bare": lambda: np.zeros((1, 1)),
    "nothing": lambda: None,
}
"""Deed -> value returned instead of a chunk."""


def _despair() -> Any:
    raise RuntimeError("out of ideas")


RAISED: dict[str, Callable[[], Any]] = {
    "raise": _despair,
    "leave": lambda: sys.exit(0),
    "memory": lambda: np.ones(1 << 50),
    "recursion": lambda: _deeper(0),
}


def _deeper(depth: int) -> int:
    return _deeper(depth + 1)


class Walker(BasePolicy):
    """Walks home from even initial states, staggers from the others; uses images. Deterministic per key."""

    observation_spec = ObservationSpec(cameras=("primary",), proprio=True)

    def setup(self, context: PolicyContext) -> None:
        self._break("setup")
        super().setup(context)

    def act(self, observations: Sequence[Observation]) -> Any:
        answers: list[Any] = [self._one(one) for one in observations]
        for number, one in enumerate(observations):
            if order := orders.due("act", one.spec.scene, one.decision):
                if order.deed in ("fewer", "more"):
                    return answers[1:] if order.deed == "fewer" else [*answers, answers[0]]
                answers[number] = {**RAISED, **ANSWERS}[order.deed]()
        return answers

    def end_episode(self, key: str) -> None:
        self._break("end_episode")

    def fingerprint(self) -> Mapping[str, Any]:
        self._break("fingerprint")
        return super().fingerprint()

    def close(self) -> None:
        self._break("close")

    def _one(self, one: Observation) -> ActionChunk:
        if self.context.action_size > 1:
            return ActionChunk(one.rng().uniform(-1, 1, (5, self.context.action_size)))
        position = one.env_observation.proprio["position"][0]
        shade = float(one.env_observation.images["primary"][0, 0, 0])
        if one.spec.init_state % 2:
            return ActionChunk(one.rng().normal(size=(2, 1)) - 0.1 * np.sign(position) * (1 + shade))
        return ActionChunk(np.full((1, 1), -np.sign(position)))

    def _break(self, phase: str) -> None:
        if order := orders.due(phase):
            RAISED[order.deed]()
