"""The contract of a policy: batched observations in, action chunks out.

A policy owns no episode. Whatever it remembers about one (an ensemble buffer, a phase) it keeps by the
observation's `key`, resets at `decision` 0 (a worker that died makes its episode start again), and
drops in `end_episode`. Randomness comes from the observation (`rng`), never from a global generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..envs.base import EnvObservation, EpisodeSpec, EvalProtocol, ObservationSpec
from ..envs.errors import InputError, PolicyError
from ..envs.specs import ActionDim
from ..envs.types import Array


class PolicyRequestError(InputError, PolicyError):
    """The user's request is at fault: unknown policy or argument, or a value that it cannot have."""


class EpisodeStateLost(PolicyError):
    """The policy's state of these episodes is lost, which is not their fault: they must be run again.

    `act` may raise it instead of returning chunks; it is then called again with the other observations of the batch.
    """

    def __init__(self, causes: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {cause}" for key, cause in causes.items()))
        self.causes = causes
        """Key of an episode -> why it cannot continue."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The input of a policy at one decision of one episode."""

    spec: EpisodeSpec
    decision: int
    """0 at the first decision of an episode."""
    step: int
    """Control steps executed so far, settling excluded."""
    instruction: str
    env_observation: EnvObservation
    committed: Array | None = None
    """[steps, action size] actions that are executed from now on until the answer arrives, where answers are delayed
    (perturbation `latency`); None where they are not. A policy may continue its plan from them."""

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
        """Randomness for this decision: the same for the same episode and decision, wherever it runs."""
        return np.random.default_rng(self.spec.entropy("policy", decision=self.decision))


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """The output of a policy at one decision."""

    actions: Array
    """[steps, action size] float64 in the environment's own units; at least one step. The protocol's replan
    interval decides how many are executed."""
    status: str = "ok"
    """`ok`, or what was wrong with the model's output (`malformed`, `cut`, `out_of_range`); counted per episode."""


def copied(chunk: ActionChunk) -> ActionChunk:
    """The chunk with its own copy of the actions; other values are returned as they are, for the check that follows."""
    if not isinstance(chunk, ActionChunk) or not isinstance(chunk.actions, np.ndarray):
        return chunk
    return replace(chunk, actions=chunk.actions.copy())


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """The facts of a run that a policy receives before the first decision."""

    protocol: EvalProtocol
    suites: tuple[str, ...]
    action_size: int


class Policy(Protocol):
    """Anything that can be evaluated. See `check_policy` for the contract as a test.

    The members up to `close` are required; the others have defaults in `BasePolicy`, which `policies.registry.complete`
    adds to a policy that does not subclass it.
    """

    observation_spec: ObservationSpec
    """The observation it needs."""
    stochastic: bool
    """Whether two seeds can give different chunks for the same observation."""
    tags: tuple[str, ...]
    """Labels that a table prints beside its numbers: `untrained`, `privileged`, ... (empty for most)."""

    def setup(self, context: PolicyContext) -> None:
        """Called once, before the first decision."""
        ...

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        """One chunk per observation, in order. A row's chunk does not depend on its neighbours."""
        ...

    def end_episode(self, key: str) -> None:
        """The episode has ended: drop its state."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """JSON-able facts that change its output (weights hash, dtype, chunk length, options)."""
        ...

    def close(self) -> None: ...

    n_action_steps: int | None
    """Actions of each chunk that are executed before the next decision; None leaves it to the protocol."""
    chunk_size: int
    """Actions per chunk, for estimates."""
    action_spec: tuple[ActionDim, ...] | None
    """The numbers of an action; None where undeclared."""

    def action_spec_under(self, protocol: EvalProtocol) -> tuple[ActionDim, ...] | None:
        """The specification under one protocol, for policies whose actions follow the protocol; else `action_spec`."""
        ...

    def metrics(self) -> Mapping[str, Any]:
        """JSON-able measurements of the policy itself, such as latencies; recorded with the session."""
        ...


class BasePolicy:
    """Defaults for stateless policies: set `observation_spec`, define `act` or `act_one`. See `Policy` for the contract."""

    observation_spec = ObservationSpec()
    stochastic = False
    tags: tuple[str, ...] = ()
    n_action_steps: int | None = None
    chunk_size: int = 1
    action_spec: tuple[ActionDim, ...] | None = None

    def action_spec_under(self, protocol: EvalProtocol) -> tuple[ActionDim, ...] | None:
        return self.action_spec

    def metrics(self) -> Mapping[str, Any]:
        return {}

    def setup(self, context: PolicyContext) -> None:
        self.context = context

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        """One chunk per observation, copied at once, so that `act_one` may reuse one array."""
        return [copied(self.act_one(observation)) for observation in observations]

    def act_one(self, observation: Observation) -> ActionChunk:
        """The chunk for one observation; for policies that gain nothing from a batch."""
        raise PolicyError(f"{type(self).__name__} defines neither act nor act_one")

    def end_episode(self, key: str) -> None:
        """No state is kept."""

    def fingerprint(self) -> Mapping[str, Any]:
        return {"class": f"{type(self).__module__}:{type(self).__qualname__}"}

    def close(self) -> None:
        """No resources are held."""
