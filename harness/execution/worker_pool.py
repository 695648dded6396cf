"""Pool of worker processes with one selector and timeouts. The executor handles their messages."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...envs.base import EnvObservation
from ..planning.run_settings import WorkerSetup
from .recorder import ActiveEpisode
from .wire import WireError
from .worker_process import WorkerProcess, hello

TICK_S = 0.1
"""Seconds that `poll` waits for a message, and between two checks of the deadlines."""
GRACE_S = 1.0
"""Seconds of polling that a late worker gets on top: this process may itself have been busy with the policy, or asleep."""


@dataclass(slots=True)
class WorkerSlot:
    """A worker of the pool, replaced when it is lost, and its current episode."""

    number: int
    log: Path
    worker: WorkerProcess | None = None
    ready: bool = False
    """Whether its environment is built."""
    active: ActiveEpisode | None = None
    env_observation: EnvObservation | None = None
    """The policy's next input, where a decision is due."""
    waiting_since: float | None = None
    """When it was last sent a message (monotonic seconds); None while it waits for the executor."""
    overdue: float = 0.0
    """Seconds waited past the deadline."""


class WorkerPool:
    """Workers, started and ended one by one.

    `on_message` receives every message; `on_lost` receives a worker that is of no more use, and the cause. That worker is still
    in its slot, for the executor to `discard`.
    """

    def __init__(
        self,
        size: int,
        setup: WorkerSetup,
        logs: Path,
        timeout_s: float,
        on_message: Callable[[WorkerSlot, dict[str, Any]], None],
        on_lost: Callable[[WorkerSlot, str], None],
    ) -> None:
        logs.mkdir(exist_ok=True)
        self.slots = [WorkerSlot(number, logs / f"worker-{number}.log") for number in range(size)]
        self._setup = setup
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._on_lost = on_lost
        self._selector = selectors.DefaultSelector()
        self._exiting: list[WorkerProcess] = []
        self._polled_s = 0.0
        self._next_check = 0.0

    @property
    def any_running(self) -> bool:
        """Whether any worker is left."""
        return any(slot.worker for slot in self.slots)

    def launch(self, slot: WorkerSlot) -> None:
        """Start a worker in that slot and send it the setup."""
        slot.worker, slot.ready = WorkerProcess(self._setup, slot.log), False
        self._selector.register(slot.worker, selectors.EVENT_READ, slot)
        self.send(slot, hello(self._setup))

    def send(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        """Send the message; the deadline for the answer starts."""
        assert slot.worker is not None
        slot.waiting_since, slot.overdue, slot.env_observation = time.monotonic(), 0.0, None
        try:
            slot.worker.channel.send(message)
        except WireError as error:
            self._on_lost(slot, str(error))

    def release(self, slot: WorkerSlot) -> None:
        """Close the worker's socket, upon which it exits."""
        worker = self._remove(slot)
        worker.channel.close()
        self._exiting.append(worker)

    def discard(self, slot: WorkerSlot) -> str:
        """Kill the worker. How it had ended before that, in words, if it had."""
        return self._remove(slot).kill()

    def _remove(self, slot: WorkerSlot) -> WorkerProcess:
        worker, slot.worker, slot.active, slot.env_observation = slot.worker, None, None, None
        assert worker is not None
        self._selector.unregister(worker)
        return worker

    def poll(self) -> None:
        """Handle all messages that have arrived; waits up to `TICK_S` for the first."""
        started = time.monotonic()
        for key, _ in self._selector.select(TICK_S):
            self._read(key.data)
        now = time.monotonic()
        self._polled_s += min(now - started, TICK_S)
        if now >= self._next_check:
            self._check_deadlines(now)

    def _read(self, slot: WorkerSlot) -> None:
        worker = slot.worker
        assert worker is not None
        try:
            worker.channel.feed()
            while slot.worker is worker and (message := worker.channel.take()) is not None:
                if slot.waiting_since is None:
                    raise WireError(f"it sent a {message['type']} message without a request")
                slot.waiting_since = None
                self._on_message(slot, message)
        except WireError as error:
            self._on_lost(slot, str(error))

    def _check_deadlines(self, now: float) -> None:
        for slot in self.slots:
            if slot.worker and slot.waiting_since is not None and now - slot.waiting_since > self._timeout_s:
                slot.overdue += self._polled_s
                if slot.overdue >= min(GRACE_S, self._timeout_s):
                    self._on_lost(slot, f"no answer within {self._timeout_s:g} s")
        self._next_check, self._polled_s = now + TICK_S, 0.0

    def close(self) -> None:
        """End all workers."""
        workers = [*self._exiting, *(slot.worker for slot in self.slots if slot.worker)]
        for worker in workers:
            worker.channel.close()
        for worker in workers:
            worker.close()
        self._selector.close()
