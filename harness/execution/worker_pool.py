"""The workers of a run as one: listened to together, missed when they fall silent. What they say is the runner's business."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...envs.base import EnvObservation
from .recorder import ActiveEpisode
from .wire import WireError
from .worker_process import WorkerProcess, WorkerSetup

TICK_S = 0.1
"""How long listening lasts when nothing is said, and how often silence is looked at."""
GRACE_S = 1.0
"""Seconds of listening that a late worker gets on top: we may have been away ourselves, in the policy or asleep."""


@dataclass(slots=True)
class WorkerSlot:
    """A place for a worker, and what the worker in it is doing."""

    number: int
    log: Path
    worker: WorkerProcess | None = None
    ready: bool = False
    """Whether its world stands."""
    playing: ActiveEpisode | None = None
    env_observation: EnvObservation | None = None
    """What the policy is to decide upon, where a decision is due."""
    asked: float | None = None
    """When it was last given something to do; None while it waits for us."""
    overdue: float = 0.0
    """Seconds that we have listened to it in vain since its time was up."""


class WorkerPool:
    """Workers, started and ended one by one. `heard` is called for every message, `lost` for a worker of no more use.

    `lost` is told why; the worker is still there and is ended by `discard` or `launch`.
    """

    def __init__(
        self,
        size: int,
        setup: WorkerSetup,
        logs: Path,
        timeout_s: float,
        heard: Callable[[WorkerSlot, dict[str, Any]], None],
        lost: Callable[[WorkerSlot, str], None],
    ) -> None:
        logs.mkdir(exist_ok=True)
        self.slots = [WorkerSlot(number, logs / f"worker-{number}.log") for number in range(size)]
        self._setup = setup
        self._timeout_s = timeout_s
        self._heard = heard
        self._lost = lost
        self._selector = selectors.DefaultSelector()
        self._leaving: list[WorkerProcess] = []
        self._listened = 0.0
        self._watch_at = 0.0

    @property
    def at_work(self) -> bool:
        """Whether anybody is still there."""
        return any(slot.worker for slot in self.slots)

    def launch(self, slot: WorkerSlot) -> None:
        """Start a worker in that place and tell it what to build."""
        slot.worker, slot.ready = WorkerProcess(self._setup, slot.log), False
        self._selector.register(slot.worker, selectors.EVENT_READ, slot)
        self.tell(slot, self._setup.hello())

    def tell(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        """Send it the message; from now on it is to answer."""
        assert slot.worker is not None
        slot.asked, slot.overdue, slot.env_observation = time.monotonic(), 0.0, None
        try:
            slot.worker.channel.send(message)
        except WireError as error:
            self._lost(slot, str(error))

    def dismiss(self, slot: WorkerSlot) -> None:
        """Hang up; the worker leaves by itself."""
        worker = self._take_out(slot)
        worker.channel.close()
        self._leaving.append(worker)

    def discard(self, slot: WorkerSlot) -> str:
        """End the worker now. How it had ended, if it had."""
        return self._take_out(slot).kill()

    def _take_out(self, slot: WorkerSlot) -> WorkerProcess:
        worker, slot.worker, slot.playing, slot.env_observation = slot.worker, None, None, None
        assert worker is not None
        self._selector.unregister(worker)
        return worker

    def listen(self, *, wait: bool) -> None:
        """Take in all that has been said; with `wait`, for a moment if nothing has."""
        started = time.monotonic()
        for key, _ in self._selector.select(TICK_S if wait else 0):
            self._read(key.data)
        now = time.monotonic()
        self._listened += min(now - started, TICK_S)
        if now >= self._watch_at:
            self._watch(now)

    def _read(self, slot: WorkerSlot) -> None:
        worker = slot.worker
        assert worker is not None
        try:
            worker.channel.feed()
            while slot.worker is worker and (message := worker.channel.take()) is not None:
                if slot.asked is None:
                    raise WireError(f"it sent a {message['type']} message that nobody asked for")
                slot.asked = None
                self._heard(slot, message)
        except WireError as error:
            self._lost(slot, str(error))

    def _watch(self, now: float) -> None:
        """Miss those who do not answer."""
        for slot in self.slots:
            if slot.worker and slot.asked is not None and now - slot.asked > self._timeout_s:
                slot.overdue += self._listened
                if slot.overdue >= min(GRACE_S, self._timeout_s):
                    self._lost(slot, f"no answer within {self._timeout_s:g} s")
        self._watch_at, self._listened = now + TICK_S, 0.0

    def close(self) -> None:
        """End them all."""
        workers = [*self._leaving, *(slot.worker for slot in self.slots if slot.worker)]
        for worker in workers:
            worker.channel.close()
        for worker in workers:
            worker.close()
        self._selector.close()
