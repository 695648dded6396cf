"""The contract of a policy: batched observations in, action chunks out.

A policy owns no episode. Whatever it remembers about one (an ensemble buffer, a phase) it keeps by the
observation's `key`, starts anew at `decision` 0 (a worker that died makes its episode start again), and
drops in `forget`. Randomness comes from the observation (`rng`), never from a global generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..envs.base import EnvObservation, EpisodeSpec, EvalProtocol, ObservationSpec
from ..envs.errors import PolicyError
from ..envs.types import Array


class EpisodeStateLost(PolicyError):
    """What a policy remembers of these episodes is gone, through no fault of theirs: they are to be played again.

    `act` may raise it instead of answering; the other observations of the batch are then asked about again.
    """

    def __init__(self, causes: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {cause}" for key, cause in causes.items()))
        self.causes = causes
        """Key of an episode -> why it cannot go on."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy is shown at one decision of one episode."""

    spec: EpisodeSpec
    decision: int
    """0 at the first decision of an episode."""
    step: int
    """Control steps executed so far, settling excluded."""
    instruction: str
    env_observation: EnvObservation

    @property
    def images(self) -> Mapping[str, Array]:
        """Camera name -> H x W x 3 uint8, oriented as the protocol says."""
        return self.env_observation.images

    @property
    def proprio(self) -> Mapping[str, Array]:
        """Name -> float64 vector; see the suite's page for units and frames."""
        return self.env_observation.proprio

    @property
    def privileged(self) -> Mapping[str, Any]:
        """Full simulator state, for policies that declare it in their observation specification."""
        return self.env_observation.privileged

    @property
    def key(self) -> str:
        """The episode's key."""
        return self.spec.key

    def rng(self) -> np.random.Generator:
        """Randomness for this decision: the same for the same episode and decision, wherever it is played."""
        return np.random.default_rng(self.spec.entropy("policy", decision=self.decision))


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """What a policy answers at one decision."""

    actions: Array
    """[steps, action size] float64 in the environment's own units; at least one step. The protocol's replan
    interval decides how many are executed."""
    status: str = "ok"
    """`ok`, or what was wrong with the model's answer (`malformed`, `cut`, `out_of_range`); counted per episode."""


def copied(chunk: ActionChunk) -> ActionChunk:
    """The chunk with actions of its own; what is no chunk comes back as it is, for whoever checks it."""
    if not isinstance(chunk, ActionChunk) or not isinstance(chunk.actions, np.ndarray):
        return chunk
    return replace(chunk, actions=chunk.actions.copy())


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """What a policy may know of the run before it starts."""

    protocol: EvalProtocol
    suites: tuple[str, ...]
    action_size: int


class Policy(Protocol):
    """Anything that can be evaluated. See `check_policy` for the contract as a test."""

    observation_spec: ObservationSpec
    """What it must be shown."""
    stochastic: bool
    """Whether two seeds can give different answers to the same observation."""
    tags: tuple[str, ...]
    """What a table must say beside its numbers: `untrained`, `privileged`, ... (empty for most)."""

    def setup(self, context: PolicyContext) -> None:
        """Called once, before the first decision."""
        ...

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        """One chunk per observation, in order. A row's answer does not depend on its neighbours."""
        ...

    def end_episode(self, key: str) -> None:
        """The episode has ended: drop what is kept about it."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """JSON-able facts that change its answers (weights hash, dtype, chunk length, options)."""
        ...

    def close(self) -> None: ...


class BasePolicy:
    """Defaults for policies that keep nothing: subclass it, set `needs`, write `act`. See `Policy` for the contract."""

    observation_spec = ObservationSpec()
    stochastic = False
    tags: tuple[str, ...] = ()

    def setup(self, context: PolicyContext) -> None:
        self.context = context

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        """One chunk per observation, copied before the next is asked for: `act_one` may fill one array again and again."""
        return [copied(self.act_one(observation)) for observation in observations]

    def act_one(self, observation: Observation) -> ActionChunk:
        """The chunk for one observation; for policies with nothing to gain from a batch."""
        raise PolicyError(f"{type(self).__name__} defines neither act nor act_one")

    def end_episode(self, key: str) -> None:
        """Nothing is kept."""

    def fingerprint(self) -> Mapping[str, Any]:
        return {"class": f"{type(self).__module__}:{type(self).__qualname__}"}

    def close(self) -> None:
        """Nothing is held."""
