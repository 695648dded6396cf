"""Where a policy is asked by many: questions wait at a desk and are answered together.

The policy lives in the thread that calls `Desk.work`; who asks waits for a future, in whatever thread.
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

from ...policies.base import ActionChunk, EpisodeStateLost, Observation
from ...policies.remote.latency import LatencyStats
from ..errors import PolicyFailedError
from ..execution.policy_host import PolicySeat

EPISODES = 4096
"""Episodes whose last answer is kept; above that the oldest is forgotten."""

Answer = dict[str, Any]


class Stopping(PolicyFailedError):
    """The desk closes; another server may answer."""


class Desk:
    """All questions that are waiting, answered together by whoever calls `work`. `ask` and `forget` serve any thread."""

    def __init__(self, seat: PolicySeat, max_batch: int) -> None:
        self.seat = seat
        self.max_batch = max_batch
        self.meter = LatencyStats()
        self._waiting: queue.SimpleQueue[tuple[str, list[Observation], Future[list[Answer]]]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._last: OrderedDict[str, tuple[str, int, Answer]] = OrderedDict()
        self._closed = False

    def ask(self, client: str, observations: list[Observation]) -> Future[list[Answer]]:
        """The answers of the policy, when it has come to them; PolicyFailedError where it fails."""
        future: Future[list[Answer]] = Future()
        self._waiting.put((client, observations, future))
        if self._closed:
            self._refuse()
        return future

    def end_episodes(self, client: str, keys: Sequence[str]) -> None:
        """These episodes of that client have ended."""
        for key in keys:
            self._ended.put((client, key))

    def owner(self, key: str) -> str:
        """The client that plays the episode; empty for one that is not known."""
        return self._last.get(key, ("",))[0]

    def work(self, stop: Callable[[], bool]) -> None:
        """Answer until `stop` says so; what is asked afterwards is refused."""
        try:
            while not stop():
                with suppress(queue.Empty):
                    first = self._waiting.get(timeout=0.1)
                    self._clear()
                    self._serve([first, *self._others(len(first[1]))])
        finally:
            self._closed = True
            self._refuse()

    def _refuse(self) -> None:
        for _, _, future in self._others(-sys.maxsize):
            future.set_exception(Stopping("the server is stopping"))

    def _others(self, size: int) -> Iterator[tuple[str, list[Observation], Future[list[Answer]]]]:
        with suppress(queue.Empty):
            while size < self.max_batch:
                found = self._waiting.get_nowait()
                size += len(found[1])
                yield found

    def _clear(self) -> None:
        with suppress(queue.Empty):
            while True:
                client, key = self._ended.get_nowait()
                if self._last.get(key, ("",))[0] == client:
                    self._drop(key)
        while len(self._last) > EPISODES:
            self._drop(next(iter(self._last)))

    def _drop(self, key: str) -> None:
        if self._last.pop(key, None):
            self.seat.end_episode(key)

    def _serve(self, asked: Sequence[tuple[str, list[Observation], Future[list[Answer]]]]) -> None:
        try:
            due = {
                one.key: (client, one) for client, observations, _ in asked for one in observations if self._is_new(client, one)
            }
            todo = [*due.values()]
            for at in range(0, len(todo), self.max_batch):
                self._decide(todo[at : at + self.max_batch])
        except PolicyFailedError as error:
            for _, _, future in asked:
                future.set_exception(error)
            return
        for client, observations, future in asked:
            future.set_result([self._answer(client, one) for one in observations])

    def _is_new(self, client: str, one: Observation) -> bool:
        """Whether the policy is to be asked: at the start of an episode, or at the decision after the last answer."""
        owner, decision, _ = self._last.get(one.key, (client, -1, {}))
        if one.decision == 0:
            return (owner, decision) != (client, 0)
        return owner == client and one.decision == decision + 1

    def _decide(self, todo: Sequence[tuple[str, Observation]]) -> None:
        started = time.perf_counter()
        try:
            chunks = self.seat.decide([one for _, one in todo])
        except EpisodeStateLost as lost:
            for key in lost.causes:
                self._last.pop(key, None)
            return
        seconds = time.perf_counter() - started
        self.meter.note(seconds, len(todo), seconds)
        timing = {"infer_ms": 1000 * seconds, "batch": len(todo)}
        for (client, one), chunk in zip(todo, chunks, strict=True):
            self._last[one.key] = (client, one.decision, _answer(chunk, timing))
            self._last.move_to_end(one.key)

    def _answer(self, client: str, one: Observation) -> Answer:
        owner, decision, answer = self._last.get(one.key, ("", -1, {}))
        if owner != client or decision != one.decision:
            return {"key": one.key, "lost": "the server does not know how this episode began"}
        return answer


def _answer(chunk: ActionChunk, timing: Mapping[str, Any]) -> Answer:
    return {"actions": chunk.actions, "status": chunk.status, "server_timing": dict(timing)}
