"""Batches concurrent requests to one policy.

The policy runs in the thread that calls `RequestBatcher.serve_forever`; clients wait for futures, in any thread.
"""

from __future__ import annotations

import queue
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from ...envs.errors import PolicyFailedError
from ...policies.base import ActionChunk, EpisodeStateLost, Observation
from ...policies.remote.latency import LatencyStats
from ..execution.policy_host import LocalPolicyHost

MAX_EPISODES = 4096
"""Episodes whose last answer is kept; above that the oldest is dropped."""

Answer = dict[str, Any]


class ServerStopping(PolicyFailedError):
    """The server is stopping; another one may answer."""


class RequestBatcher:
    """Answers all waiting requests in one call of the policy. `submit` and `end_episodes` may be called from any thread."""

    def __init__(self, policy_host: LocalPolicyHost, max_batch: int) -> None:
        self.policy_host = policy_host
        self.max_batch = max_batch
        self.meter = LatencyStats()
        self._waiting: queue.SimpleQueue[tuple[str, list[Observation], Future[list[Answer]]]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._last: OrderedDict[str, tuple[str, int, Answer]] = OrderedDict()
        self._closed = False

    def submit(self, client: str, observations: list[Observation]) -> Future[list[Answer]]:
        """Queue observations; a future of the answers, in order, or of PolicyFailedError."""
        future: Future[list[Answer]] = Future()
        self._waiting.put((client, observations, future))
        if self._closed:
            self._reject_waiting()
        return future

    def end_episodes(self, client: str, keys: Sequence[str]) -> None:
        """These episodes of that client have ended."""
        for key in keys:
            self._ended.put((client, key))

    def client_of(self, key: str) -> str:
        """The client that runs the episode; empty for an unknown one."""
        return self._last.get(key, ("",))[0]

    def serve_forever(self, stop: Callable[[], bool]) -> None:
        """Answer until `stop` returns True; later requests are rejected."""
        try:
            while not stop():
                with suppress(queue.Empty):
                    first = self._waiting.get(timeout=0.1)
                    self._drop_ended()
                    self._serve([first, *self._next_requests(len(first[1]))])
        finally:
            self._closed = True
            self._reject_waiting()

    def _reject_waiting(self) -> None:
        for _, _, future in self._next_requests(-sys.maxsize):
            future.set_exception(ServerStopping("the server is stopping"))

    def _next_requests(self, size: int) -> Iterator[tuple[str, list[Observation], Future[list[Answer]]]]:
        with suppress(queue.Empty):
            while size < self.max_batch:
                request = self._waiting.get_nowait()
                size += len(request[1])
                yield request

    def _drop_ended(self) -> None:
        with suppress(queue.Empty):
            while True:
                client, key = self._ended.get_nowait()
                if self._last.get(key, ("",))[0] == client:
                    self._drop(key)
        while len(self._last) > MAX_EPISODES:
            self._drop(next(iter(self._last)))

    def _drop(self, key: str) -> None:
        if self._last.pop(key, None):
            self.policy_host.end_episode(key)

    def _serve(self, requests: Sequence[tuple[str, list[Observation], Future[list[Answer]]]]) -> None:
        try:
            due = {
                observation.key: (client, observation)
                for client, observations, _ in requests
                for observation in observations
                if self._is_new(client, observation)
            }
            pending = [*due.values()]
            for at in range(0, len(pending), self.max_batch):
                self._decide(pending[at : at + self.max_batch])
        except PolicyFailedError as error:
            for _, _, future in requests:
                future.set_exception(error)
            return
        for client, observations, future in requests:
            future.set_result([self._answer(client, observation) for observation in observations])

    def _is_new(self, client: str, observation: Observation) -> bool:
        """Whether the policy must be queried: at the start of an episode, or at the decision after the last answer."""
        holder, decision, _ = self._last.get(observation.key, (client, -1, {}))
        if observation.decision == 0:
            return (holder, decision) != (client, 0)
        return holder == client and observation.decision == decision + 1

    def _decide(self, pending: Sequence[tuple[str, Observation]]) -> None:
        started = time.perf_counter()
        try:
            chunks = self.policy_host.decide([observation for _, observation in pending])
        except EpisodeStateLost as lost:
            for key in lost.causes:
                self._last.pop(key, None)
            return
        seconds = time.perf_counter() - started
        self.meter.note(seconds, len(pending), seconds)
        timing = {"infer_ms": 1000 * seconds, "batch": len(pending)}
        for (client, observation), chunk in zip(pending, chunks, strict=True):
            self._last[observation.key] = (client, observation.decision, _answer(chunk, timing))
            self._last.move_to_end(observation.key)

    def _answer(self, client: str, observation: Observation) -> Answer:
        holder, decision, answer = self._last.get(observation.key, ("", -1, {}))
        if holder != client or decision != observation.decision:
            return {"key": observation.key, "lost": "the server does not know how this episode began"}
        return answer


def _answer(chunk: ActionChunk, timing: Mapping[str, Any]) -> Answer:
    return {"actions": chunk.actions, "status": chunk.status, "server_timing": dict(timing)}
