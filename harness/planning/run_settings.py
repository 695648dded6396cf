"""Values that planning hands to execution: what workers build, the limits of a run, what its records have in common."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...envs.base import EnvOptions, EvalProtocol, ObservationSpec
from ...envs.specs import ActionConvention


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """Parts that a worker builds; the same for every worker of a run."""

    suite: str
    """Any suite of the family, by name or import path."""
    options: EnvOptions
    protocol: EvalProtocol
    observation_spec: ObservationSpec
    python: str = sys.executable
    """Interpreter, for suites that have their own."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Workers, timeouts, retries and the length of episodes."""

    workers: int
    timeout_s: float
    retries: int
    max_steps: int | None = None
    """Step budget of every episode; None for the protocol's."""
    policy_check: bool = False
    """Whether the policy is checked for mixing up episodes, where there is more than one worker."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Fields that all records of a run have in common."""

    policy: str
    """Name it runs under."""
    assets: Mapping[str, str]
    """`pack` and `fingerprint`."""
    backend: str = ""
    """The suite's backend."""
    actions: Mapping[str, ActionConvention] = field(default_factory=dict)
    """Suite -> its action convention; without suites that declare none."""
    conditions: str = ""
    """Digest of everything that can change results; known when the policy and a worker have started."""
