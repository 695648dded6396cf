"""The policy's seat: one call for all decisions that are due, every answer checked before a world sees it."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...envs.errors import PolicyError
from ...policies.base import ActionChunk, EpisodeStateLost, Observation, Policy, PolicyContext, copied
from ...policies.checks import check_chunk
from ..errors import PolicyFailedError


class LocalPolicyHost:
    """A policy at work. Its errors come out as PolicyFailedError, with the traceback in `log`; EpisodeStateLost as it is."""

    def __init__(self, policy: Policy, log: Path) -> None:
        self.policy = policy
        self.log = log
        self.busy_s = 0.0
        """Seconds spent in the policy so far."""
        self.context: PolicyContext | None = None
        """None until it has started."""
        self.broken_off = False
        """Whether the user's second Ctrl-C came while it was to answer."""

    def setup(self, context: PolicyContext) -> None:
        """Start the policy."""
        self._guarded("setup", self.policy.setup, context)
        self.context = context

    def decide(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        """One checked chunk per observation, in order; the arrays are the caller's, whatever the policy does with its own."""
        assert self.context is not None
        chunks = self._guarded("act", lambda: [copied(chunk) for chunk in self.policy.act(observations)])
        if len(chunks) != len(observations):
            raise self._failed(f"answered {len(chunks)} chunks to {len(observations)} observations")
        for observation, chunk in zip(observations, chunks, strict=True):
            self._check(observation, chunk)
        return chunks

    def end_episode(self, key: str) -> None:
        """The episode has ended."""
        self._guarded("end_episode", self.policy.end_episode, key)

    def fingerprint(self) -> dict[str, Any]:
        """What the policy says about itself, as plain JSON."""
        return self._guarded("fingerprint", lambda: json.loads(json.dumps(dict(self.policy.fingerprint()), allow_nan=False)))

    def metrics(self) -> dict[str, Any]:
        """What the policy has measured of itself, as plain JSON; empty for most."""
        return dict(self._guarded("metrics", self.policy.metrics))

    def close(self) -> None:
        """Let the policy go."""
        self._guarded("close", self.policy.close)

    def _check(self, observation: Observation, chunk: Any) -> None:
        assert self.context is not None
        where = f"broke its contract at decision {observation.decision} of {observation.key}"
        if not isinstance(chunk, ActionChunk):
            raise self._failed(f"{where}: act must answer ActionChunk, not {type(chunk).__name__}")
        try:
            check_chunk(chunk, self.context.action_size)
        except PolicyError as error:
            raise self._failed(f"{where}: {error}") from None

    def _guarded(self, method: str, call: Callable[..., Any], *args: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(*args)
        except EpisodeStateLost:
            raise
        except KeyboardInterrupt:
            self.broken_off = True
            raise
        except BaseException as error:  # a policy that calls sys.exit has failed, and does not end the run as done
            with suppress(OSError), self.log.open("a", encoding="utf-8") as handle:
                traceback.print_exc(file=handle)
            raise self._failed(f"raised in {method}: {type(error).__name__}: {error}\nTraceback: {self.log}") from None
        finally:
            self.busy_s += time.perf_counter() - started

    def _failed(self, text: str) -> PolicyFailedError:
        return PolicyFailedError(f"the policy ({type(self.policy).__name__}) {text}")
