"""One episode, driven chunk by chunk: what a worker does with a world, and what it says about it.

The driver knows no suite and no policy. It plays what it is given until the protocol's rule or the budget ends
the episode, looks only where a decision follows, and keeps the facts that make the record. Pure given its world:
nothing here is kept between episodes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...envs.base import Array, Env, EnvObservation, EpisodeSpec, EvalProtocol, ObservationSpec, Reset, SimulationError
from ...envs.suites import complete_env
from ...policies.base import ActionChunk
from ...policies.checks import check_chunk


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """A decision is due."""

    step: int
    """Control steps executed so far."""
    env_observation: EnvObservation


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """An episode that came to its end, as far as its world can tell."""

    success: bool
    """By the protocol's rule."""
    success_any: bool
    """Whether the goal held after any step."""
    steps: int
    actions: Array
    """[steps, action size] float64, as executed."""
    fixtures: Mapping[str, Any]
    warnings: tuple[str, ...]
    trajectory_sha256: str
    seconds: Mapping[str, float]
    """Wall seconds in `reset`, `step`, `render`."""
    measures: Mapping[str, bool]
    """Outcomes beside success, where the world has some."""
    renderer: str
    """How pictures were made, where worlds of the family differ in it; empty where none was."""


class Rollout:
    """One episode in one world. `start` it, then `play` a chunk for every Look that comes back, until Done."""

    def __init__(
        self, world: Env, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec, budget: int
    ) -> None:
        self.world = world
        self.spec = spec
        self.protocol = protocol
        self.observation_spec = observation_spec
        self.budget = budget
        self.phase = "reset"
        """What is going on, for whoever reports an exception: `reset`, `step`, `look`."""
        self._steps = 0
        self._goal = False
        self._goal_any = False
        self._actions: list[Array] = []
        self._hash = hashlib.sha256()
        self._seconds = {"reset": 0.0, "step": 0.0}

    def start(self) -> DecisionPoint:
        """Reset the world; the first decision."""
        with self._timed("reset"):
            self._reset: Reset = self.world.reset(self.spec, self.protocol, self.observation_spec)
        self._render_start = self.world.render_seconds()
        for state in self._reset.states:
            self._note(state)
        return self._look()

    def play(self, chunk: ActionChunk) -> DecisionPoint | EpisodeOutcome:
        """Execute a chunk, as far as the protocol and the budget go. Raises PolicyError before anything moves."""
        check_chunk(chunk, self.world.action_size)
        with self._timed("step"):
            ended = self._execute(chunk.actions[: self.protocol.replan_steps][: self.budget - self._steps])
        return self._done(ended) if ended or self._steps >= self.budget else self._look()

    def _execute(self, actions: Array) -> bool:
        """Play the actions; whether the episode has succeeded and is over."""
        rule = self.protocol.success
        for index, action in enumerate(actions, start=1):
            self._steps += 1
            last = index == len(actions)
            self._goal = bool(self.world.step(action, observe=last and self._steps < self.budget))
            self._goal_any |= self._goal
            self._actions.append(action)
            self._note(self.world.state())
            if self._goal and (rule == "any_step" or (rule == "chunk_end" and last)):
                return True
        return False

    def _note(self, state: Array) -> None:
        if not np.isfinite(state).all():
            raise SimulationError(f"the simulator's state is not finite after control step {self._steps}")
        self._hash.update(np.ascontiguousarray(state, dtype="<f8").data)

    def _look(self) -> DecisionPoint:
        self.phase = "look"
        return DecisionPoint(self._steps, self.world.observation())

    def _done(self, ended: bool) -> EpisodeOutcome:
        pictures = self.world.render_seconds() - self._render_start
        return EpisodeOutcome(
            success=ended or (self.protocol.success == "last_step" and self._goal),
            success_any=self._goal_any,
            steps=self._steps,
            actions=np.array(self._actions, dtype=np.float64).reshape(self._steps, self.world.action_size),
            fixtures=self._reset.fixtures,
            warnings=tuple(self._reset.warnings),
            trajectory_sha256=self._hash.hexdigest(),
            seconds={
                "reset": self._seconds["reset"] - self._reset.render_s,
                "step": self._seconds["step"] - pictures,
                "render": self._reset.render_s + pictures,
            },
            measures={name: bool(value) for name, value in complete_env(self.world).measures().items()},
            renderer=self._reset.renderer if self.observation_spec.cameras else "",
        )

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        self.phase = phase
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[phase] += time.perf_counter() - start
