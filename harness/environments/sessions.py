"""Episodes that the caller steps: in this process, or in a worker process of the kind that `nora-bench run` starts."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...envs.base import Array, EnvObservation, EpisodeSpec, SimulationError, Suite
from ...envs.errors import MissingRequirementError
from ...envs.suites import call_suite
from ...policies.base import ActionChunk
from ..execution.rollout import DecisionPoint, EpisodeOutcome, Rollout
from ..execution.wire import WireError
from ..execution.worker_process import WorkerProcess, hello, log_tail
from ..planning.run_settings import WorkerSetup

TIMEOUT_S = 600.0
"""Seconds that a worker may take for one message; building a task takes up to a minute on a slow machine."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An episode after its reset or after some steps."""

    observation: EnvObservation
    outcome: EpisodeOutcome | None = None
    """Set when the episode has ended."""


class Session(ABC):
    """One environment; one episode at a time."""

    action_size: int

    @abstractmethod
    def start(self, spec: EpisodeSpec, budget: int) -> Moment:
        """Reset to an episode's start, whatever the episode before was. `budget`: most control steps."""

    @abstractmethod
    def execute(self, actions: Array) -> Moment:
        """Execute actions, [steps, action size] float64 and finite, or those of them before the episode ends."""

    @abstractmethod
    def close(self) -> None:
        """Release the simulator."""


class LocalSession(Session):
    """The environment in this process."""

    def __init__(self, suite: Suite, setup: WorkerSetup) -> None:
        self._setup = setup
        self._env = call_suite(suite, "make_env", setup.options)
        self._rollout: Rollout | None = None
        self.action_size = self._env.action_size

    def start(self, spec: EpisodeSpec, budget: int) -> Moment:
        setup = self._setup
        self._rollout = Rollout(self._env, spec, setup.protocol, setup.observation_spec, budget, observe_last=True)
        return Moment(self._rollout.start().env_observation)

    def execute(self, actions: Array) -> Moment:
        assert self._rollout is not None
        event = self._rollout.execute(ActionChunk(actions))
        if isinstance(event, DecisionPoint):
            return Moment(event.env_observation)
        return Moment(self._env.observation(), event)

    def close(self) -> None:
        self._env.close()


class WorkerSession(Session):
    """The environment in a worker process, which may be another interpreter (`WorkerSetup.python`)."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Start the worker. Raises MissingRequirementError, with the end of its log, where it cannot build the environment."""
        self._folder = Path(tempfile.mkdtemp(prefix="nora-bench-"))
        self._log = self._folder / "worker.log"
        self._spec = EpisodeSpec("", 0, 0, 0, "")
        self._worker = WorkerProcess(setup, self._log)
        try:
            self._worker.channel.send(hello(setup))
            self.action_size = int(self._receive("hello")["action_size"])
        except SimulationError as error:
            problem = f"{error}\n{log_tail(self._log)}"
            self.close()
            raise MissingRequirementError(f"the worker did not start: {problem}") from None

    def start(self, spec: EpisodeSpec, budget: int) -> Moment:
        self._spec = spec
        return self._ask({"type": "reset", "spec": asdict(spec), "budget": budget, "observe_last": True})

    def execute(self, actions: Array) -> Moment:
        return self._ask({"type": "chunk", "actions": actions})

    def _ask(self, message: dict[str, Any]) -> Moment:
        answer = self._guarded(lambda: self._worker.channel.send(message)) or self._receive("observation", "done")
        outcome = EpisodeOutcome(**answer["done"]) if answer["type"] == "done" else None
        return Moment(EnvObservation(**answer["observation"]), outcome)

    def _receive(self, *kinds: str) -> dict[str, Any]:
        answer = self._guarded(lambda: self._worker.channel.receive(TIMEOUT_S))
        if answer["type"] not in kinds:
            raise SimulationError(f"{self._spec.key}: {answer.get('phase', '')}: {answer.get('cause', answer['type'])}")
        return answer

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """The call's result. Raises SimulationError where the worker has gone."""
        try:
            return call()
        except WireError as error:
            raise SimulationError(f"{self._spec.key}: the worker is lost: {error} {self._worker.kill()}".rstrip()) from None

    def close(self) -> None:
        self._worker.close()
        shutil.rmtree(self._folder, ignore_errors=True)
