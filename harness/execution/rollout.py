"""Rollout of one episode in an environment, chunk by chunk.

Knows no suite and no policy. It executes chunks until the protocol's rule or the budget ends the episode, renders only where a
decision follows, and collects the fields of the record. Pure given its environment: nothing is kept between episodes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...envs.base import Array, Env, EnvObservation, EpisodeSpec, EvalProtocol, ObservationSpec, Reset, SimulationError
from ...envs.moments import Moment, Roles, features
from ...envs.perturbations.images import defects_of
from ...envs.suites import complete_env
from ...policies.base import ActionChunk

if TYPE_CHECKING:
    from .delay import DelayedAnswers


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """A decision is due."""

    step: int
    """Control steps executed so far."""
    env_observation: EnvObservation
    committed: Array | None = None
    """[steps, action size] actions that are executed before the answer arrives; None where answers are not delayed."""


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """An episode that has ended, as far as its environment can tell."""

    success: bool
    """Success by the protocol's rule."""
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
    """Outcomes beside success, where the environment has some."""
    renderer: str
    """Rendering of the images, where environments of the family differ in it; empty without cameras."""
    features: Mapping[str, float] = field(default_factory=dict)
    """Features by which a failure is classified (`envs.moments`); empty where the environment has no moments."""
    latency: Mapping[str, float] = field(default_factory=dict)
    """Facts of delayed answers (`EpisodeRecord.latency`); empty where they are not delayed."""


class Rollout:
    """One episode in one environment: `start`, then `execute` a chunk for every DecisionPoint, until EpisodeOutcome."""

    def __init__(
        self,
        env: Env,
        spec: EpisodeSpec,
        protocol: EvalProtocol,
        observation_spec: ObservationSpec,
        budget: int,
        delayed: DelayedAnswers | None = None,
        *,
        observe_last: bool = False,
    ) -> None:
        """`observe_last`: whether the last step of the budget is observed too, which no decision follows."""
        self.env = complete_env(env)
        self.spec = spec
        self.protocol = protocol
        self.observation_spec = observation_spec
        self.budget = budget
        self.observe_last = observe_last
        self._defects = defects_of(spec)
        self.phase = "reset"
        """For reports of an exception: `reset`, `step` or `observe`."""
        self._delayed = delayed
        self._steps = 0
        self._success = False
        self._success_any = False
        self._actions: list[Array] = []
        self._roles: Roles | None = None
        self._moments: list[Moment] = []
        self._hash = hashlib.sha256()
        self._seconds = {"reset": 0.0, "step": 0.0}

    def start(self) -> DecisionPoint:
        """Reset the environment; the first decision."""
        with self._timed("reset"):
            self._reset: Reset = self.env.reset(self.spec, self.protocol, self.observation_spec)
        self._render_start = self.env.render_seconds()
        for state in self._reset.states:
            self._add_state(state)
        self._roles = self.env.roles()
        self._add_moment()
        return self._decision_point()

    def execute(self, chunk: ActionChunk) -> DecisionPoint | EpisodeOutcome:
        """Execute a chunk that `check_chunk` has passed, as far as the protocol and the budget go."""
        with self._timed("step"):
            due = self._delayed.due(chunk.actions) if self._delayed else chunk.actions[: self.protocol.replan_steps]
            ended = self._step_through(due[: self.budget - self._steps])
        return self._outcome(ended) if ended or self._steps >= self.budget else self._decision_point()

    def _step_through(self, actions: Array) -> bool:
        """Execute the actions; whether the episode has succeeded and is over."""
        before = self._steps
        ended = self._execute_all(actions)
        if self._delayed:
            self._delayed.count(self._steps - before)
        return ended

    def _execute_all(self, actions: Array) -> bool:
        rule = self.protocol.success
        for index, action in enumerate(actions, start=1):
            self._steps += 1
            last = index == len(actions)
            self._success = bool(self.env.step(action, observe=last and (self.observe_last or self._steps < self.budget)))
            self._success_any |= self._success
            self._actions.append(action)
            self._add_state(self.env.state())
            self._add_moment()
            if self._success and (rule == "any_step" or (rule == "chunk_end" and last)):
                return True
        return False

    def _add_state(self, state: Array) -> None:
        if not np.isfinite(state).all():
            raise SimulationError(f"the simulator's state is not finite after control step {self._steps}")
        self._hash.update(np.ascontiguousarray(state, dtype="<f8").data)

    def _add_moment(self) -> None:
        if self._roles is not None:
            self._moments.append(self.env.moment())

    def _decision_point(self) -> DecisionPoint:
        self.phase = "observe"
        observation = self.env.observation()
        seen = self._defects.apply(observation, self._steps) if self._defects else observation
        return DecisionPoint(self._steps, seen, self._delayed.committed() if self._delayed else None)

    def _outcome(self, ended: bool) -> EpisodeOutcome:
        render_s = self.env.render_seconds() - self._render_start
        return EpisodeOutcome(
            success=ended or (self.protocol.success == "last_step" and self._success),
            success_any=self._success_any,
            steps=self._steps,
            actions=np.array(self._actions, dtype=np.float64).reshape(self._steps, self.env.action_size),
            fixtures=self._reset.fixtures,
            warnings=tuple(self._reset.warnings),
            trajectory_sha256=self._hash.hexdigest(),
            seconds={
                "reset": self._seconds["reset"] - self._reset.render_s,
                "step": self._seconds["step"] - render_s,
                "render": self._reset.render_s + render_s,
            },
            measures={name: bool(value) for name, value in self.env.measures().items()},
            renderer=self._reset.renderer if self.observation_spec.cameras else "",
            features=features(self._roles, self._moments) if self._roles is not None else {},
            latency=self._delayed.facts() if self._delayed else {},
        )

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        self.phase = phase
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[phase] += time.perf_counter() - start
