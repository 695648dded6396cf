"""Policy hosts: where the policy of a run lives, and the checks on what it returns."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ...envs.errors import PolicyError, PolicyFailedError
from ...policies.base import ActionChunk, EpisodeStateLost, Observation, Policy, PolicyContext, copied
from ...policies.checks import check_chunk


class PolicyHost(Protocol):
    """A policy that is set up, in this process or elsewhere."""

    context: PolicyContext | None
    """None until it is set up."""
    busy_s: float
    """Seconds spent in the policy so far."""
    interrupted: bool
    """Whether the user's second Ctrl-C interrupted the policy."""

    def setup(self, context: PolicyContext) -> None:
        """Set the policy up. Raises PolicyFailedError."""
        ...

    def end_episode(self, key: str) -> None:
        """The episode has ended; the policy drops its state."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """The policy's fingerprint, as plain JSON."""
        ...

    def metrics(self) -> dict[str, Any]:
        """Measurements of the policy itself, as plain JSON; empty for most."""
        ...

    def close(self) -> None:
        """Close the policy."""
        ...


class LocalPolicyHost:
    """A policy in this process. Its errors become PolicyFailedError, with the traceback in `log`; EpisodeStateLost passes.

    See `PolicyHost` for the contract.
    """

    def __init__(self, policy: Policy, log: Path) -> None:
        self.policy = policy
        self.log = log
        self.busy_s = 0.0
        self.context: PolicyContext | None = None
        self.interrupted = False

    def setup(self, context: PolicyContext) -> None:
        self._guarded("setup", self.policy.setup, context)
        self.context = context

    def decide(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        """One checked chunk per observation, in order; the arrays are copies. Raises PolicyFailedError, EpisodeStateLost."""
        assert self.context is not None
        chunks = self._guarded("act", lambda: [copied(chunk) for chunk in self.policy.act(observations)])
        if len(chunks) != len(observations):
            raise self._failed(f"returned {len(chunks)} chunks for {len(observations)} observations")
        for observation, chunk in zip(observations, chunks, strict=True):
            self._check(observation, chunk)
        return chunks

    def end_episode(self, key: str) -> None:
        self._guarded("end_episode", self.policy.end_episode, key)

    def fingerprint(self) -> dict[str, Any]:
        return self._guarded("fingerprint", lambda: json.loads(json.dumps(dict(self.policy.fingerprint()), allow_nan=False)))

    def metrics(self) -> dict[str, Any]:
        return dict(self._guarded("metrics", self.policy.metrics))

    def close(self) -> None:
        self._guarded("close", self.policy.close)

    def _check(self, observation: Observation, chunk: Any) -> None:
        """The trust boundary: policies are user code, or answers from a network. Nothing behind it checks chunks again."""
        assert self.context is not None
        where = f"broke its contract at decision {observation.decision} of {observation.key}"
        if not isinstance(chunk, ActionChunk):
            raise self._failed(f"{where}: act must return ActionChunk, not {type(chunk).__name__}")
        try:
            check_chunk(chunk, self.context.action_size)
        except PolicyError as error:
            raise self._failed(f"{where}: {error}") from None

    def _guarded(self, method: str, call: Callable[..., Any], *args: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(*args)
        except (EpisodeStateLost, PolicyFailedError):  # the second: of a policy that this one wraps
            raise
        except KeyboardInterrupt:
            self.interrupted = True
            raise
        except BaseException as error:  # a policy that calls sys.exit has failed, and does not end the run as done
            with suppress(OSError), self.log.open("a", encoding="utf-8") as handle:
                traceback.print_exc(file=handle)
            raise self._failed(f"raised in {method}: {type(error).__name__}: {error}\nTraceback: {self.log}") from None
        finally:
            self.busy_s += time.perf_counter() - started

    def _failed(self, text: str) -> PolicyFailedError:
        return PolicyFailedError(f"the policy ({type(self.policy).__name__}) {text}")


MEASURED_DECISIONS = 20
"""Decisions whose time is measured, after one that is not: the first of all may load or compile."""


def measured_ms(host: LocalPolicyHost, observation: Observation) -> tuple[list[float], ActionChunk]:
    """Wall milliseconds of single decisions about one observation, as a robot asks for them, and the last chunk.

    Raises PolicyFailedError, EpisodeStateLost.
    """
    (chunk,) = host.decide([observation])
    times = []
    for _ in range(MEASURED_DECISIONS):
        before = host.busy_s
        (chunk,) = host.decide([observation])
        times.append(round(1000 * (host.busy_s - before), 3))
    host.end_episode(observation.key)
    return times, chunk
