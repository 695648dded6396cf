"""The runner: one policy, N workers, one thread.

It reads whatever has arrived, asks the policy once for all decisions that are due, and hands every worker its chunk; it
never waits for one worker while another's decision is due. A worker that is lost is replaced and its episode
played again. Nothing here decides a result: that is the business of the episode's key and the policy.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..envs.base import EpisodeSpec, View
from ..policies.base import ActionChunk, Observation, PolicyContext
from ..results.records import EpisodeRecord
from ..results.store import Store
from . import recording
from .decide import PolicySeat
from .episode import Done
from .errors import Interrupted, NotAble, PolicyFailed
from .plan import Stage
from .pool import Worker, WorkerSetup
from .progress import Progress
from .recording import Playing, RunFacts
from .schedule import Schedule
from .wire import WireError

TICK_S = 0.1
"""How long the loop sleeps when nothing happens."""
GRACE_S = 1.0
"""Seconds of listening that a late worker gets on top: the runner itself may have been away, in its policy or asleep."""
START_LIMIT = 3
"""Workers that may fail to start, one after the other, before the run is given up."""


@dataclass(slots=True)
class Hand:
    """A place for a worker, and what the worker in it is doing."""

    number: int
    worker: Worker | None = None
    ready: bool = False
    playing: Playing | None = None
    asked: float | None = None
    """When it was last given something to do; None while it waits for us."""
    grace: float = GRACE_S
    view: View | None = None

    def waits_for(self, message: dict[str, Any]) -> None:
        """Send it the message; from now on it is to answer."""
        assert self.worker is not None
        self.asked, self.grace, self.view = time.monotonic(), GRACE_S, None
        self.worker.channel.send(message)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a run puts up with, and how long its episodes may be."""

    workers: int
    timeout_s: float
    retries: int
    max_steps: int | None = None


class Runner:
    """Plays episodes and keeps them in `store`. `run` it once."""

    def __init__(
        self,
        stage: Stage,
        setup: WorkerSetup,
        seat: PolicySeat,
        store: Store,
        facts: RunFacts,
        limits: Limits,
        progress: Progress,
        on_ready: Callable[[Mapping[str, str]], None] = lambda versions: None,
    ) -> None:
        self.stage = stage
        self.setup = setup
        self.seat = seat
        self.store = store
        self.facts = facts
        self.limits = limits
        self.progress = progress
        self.on_ready = on_ready
        self.peak_gib = 0.0
        """Largest memory of any worker, as far as they said."""
        self._selector = selectors.DefaultSelector()
        self._hands: list[Hand] = []
        self._leaving: list[Worker] = []
        self._failed_starts = 0
        self._listened = 0.0
        self._watch_at = 0.0

    def run(self, episodes: Iterable[EpisodeSpec], stop: Callable[[], bool] = lambda: False) -> None:
        """Play them all. Raises Interrupted soon after `stop` says so, PolicyFailed, NotAble; what had finished is kept."""
        self._schedule = Schedule(episodes)
        self._hands = [Hand(number) for number in range(min(self.limits.workers, len(self._schedule)))]
        try:
            for hand in self._hands:
                self._launch(hand)
            while any(hand.worker for hand in self._hands):
                if stop():
                    raise Interrupted("stopped")
                self._listen()
                self._decide()
                self._watch()
                self.progress.tick()
        finally:
            self._close()

    # Workers

    def _launch(self, hand: Hand) -> None:
        log = self.store.folder / "logs" / f"worker-{hand.number}.log"
        log.parent.mkdir(exist_ok=True)
        hand.ready, hand.playing = False, None
        hand.worker = Worker(hand.number, self.setup, log)
        self._selector.register(hand.worker, selectors.EVENT_READ, hand)
        self.progress.working(hand.number, "starting")
        with self._losing(hand):
            hand.waits_for(self.setup.hello())

    def _assign(self, hand: Hand) -> None:
        """Give the worker its next episode, or send it home."""
        job = self._schedule.next(hand.number)
        if job is None:
            self._dismiss(hand)
            return
        hand.playing = Playing(job, self.stage.task(job.spec))
        self.progress.working(hand.number, job.spec.scene)
        with self._losing(hand):
            hand.waits_for({"type": "reset", "spec": asdict(job.spec), "budget": self._budget(job.spec)})

    def _budget(self, spec: EpisodeSpec) -> int:
        return self.limits.max_steps or self.stage.protocol.steps(spec.suite)

    def _dismiss(self, hand: Hand) -> None:
        assert hand.worker is not None
        self._selector.unregister(hand.worker)
        hand.worker.channel.close()
        self._leaving.append(hand.worker)
        hand.worker = None
        self.progress.working(hand.number, "")

    def _lost(self, hand: Hand, cause: str) -> None:
        """The worker is of no more use: replace it, and have its episode played again."""
        assert hand.worker is not None
        worker, playing = hand.worker, hand.playing
        self._selector.unregister(worker)
        ended = worker.kill()
        cause = f"{_phase(playing)}: {cause}" + (f" ({ended})" if ended else "")
        hand.worker = hand.playing = hand.view = None
        if playing is None:
            self._failed_start(worker, cause)
        else:
            self._retry(playing, cause, worker.log)
        if len(self._schedule):
            self._launch(hand)
        else:
            self.progress.working(hand.number, "")

    def _failed_start(self, worker: Worker, cause: str) -> None:
        self._failed_starts += 1
        self.progress.note(f"worker {worker.number} did not start: {cause}")
        if self._failed_starts >= START_LIMIT:
            raise NotAble(
                f"{START_LIMIT} workers in a row did not start: {cause}\nThe log ends with ({worker.log}):\n{worker.log_tail()}\n"
                "Type: nora-bench doctor"
            )

    def _retry(self, playing: Playing, cause: str, log: Path) -> None:
        key, attempt = playing.job.spec.key, playing.job.attempt
        if attempt <= self.limits.retries:
            self.progress.note(f"{key}: {cause}; played again ({attempt} of {self.limits.retries}); see {log}")
            self._schedule.put_back(playing.job.again())
        else:
            self._keep(recording.failed(playing, f"{cause}; see {log.relative_to(self.store.folder)}", self.facts))
            self.progress.note(f"{key}: {cause}; given up after {attempt} attempts")

    # Messages

    def _listen(self) -> None:
        started = time.monotonic()
        due = any(hand.view is not None for hand in self._hands)
        for key, _ in self._selector.select(0 if due else TICK_S):
            self._read(key.data)
        self._listened += min(time.monotonic() - started, TICK_S)

    def _read(self, hand: Hand) -> None:
        worker = hand.worker
        with self._losing(hand):
            assert worker is not None
            worker.channel.feed()
            while hand.worker is worker and (message := worker.channel.take()) is not None:
                self._heard(hand, message)

    @contextmanager
    def _losing(self, hand: Hand) -> Iterator[None]:
        """A worker that cannot be talked to is lost, not the run."""
        try:
            yield
        except WireError as error:
            self._lost(hand, str(error))

    def _heard(self, hand: Hand, message: dict[str, Any]) -> None:
        kind = message["type"]
        if hand.asked is None or kind not in (("hello", "error") if not hand.ready else ("look", "done", "error")):
            raise WireError(f"it sent a {kind} message that nobody asked for")
        hand.asked = None
        {"hello": self._hello, "look": self._look, "done": self._done, "error": self._error}[kind](hand, message)

    def _hello(self, hand: Hand, message: dict[str, Any]) -> None:
        with _shaped():
            action_size, versions = int(message["action_size"]), dict(message["versions"])
        hand.ready = True
        self._failed_starts = 0
        if self.seat.context is None:
            self.seat.start(PolicyContext(self.stage.protocol, tuple(suite.name for suite in self.stage.suites), action_size))
            self.on_ready(versions)
        self._assign(hand)

    def _look(self, hand: Hand, message: dict[str, Any]) -> None:
        assert hand.playing is not None
        with _shaped():
            hand.playing.step, hand.view = int(message["step"]), View(**message["view"])

    def _done(self, hand: Hand, message: dict[str, Any]) -> None:
        playing = hand.playing
        assert playing is not None
        with _shaped():
            done = Done(**message["done"])
            self.peak_gib = max(self.peak_gib, float(message["peak_gib"]))
        actions = self.store.write_actions(playing.job.spec.key, done.actions)
        self._keep(recording.finished(playing, done, actions, self.facts))
        hand.playing = None
        self._assign(hand)

    def _error(self, hand: Hand, message: dict[str, Any]) -> None:
        with _shaped():
            kind, cause = str(message["kind"]), str(message["cause"])
            phase = str(message["phase"])
        if kind == "policy":
            raise PolicyFailed(f"the policy's answer was refused: {cause}")
        if kind == "suite":
            raise NotAble(f"the suite cannot be played here ({phase}): {cause}\nType: nora-bench doctor")
        if kind == "premise" and hand.playing:
            self._keep(recording.failed(hand.playing, f"{phase}: {cause}", self.facts))
            self.progress.note(f"{hand.playing.job.spec.key}: {cause}")
            hand.playing = None
            self._assign(hand)
        else:
            self._lost(hand, cause)

    # Decisions

    def _decide(self) -> None:
        """Ask the policy for everything that is due, and pass its answers on."""
        due = [(hand, hand.playing, hand.view) for hand in self._hands if hand.playing and hand.view is not None]
        if not due:
            return
        before = self.seat.busy_s
        chunks = self.seat.decide([_observation(playing, view) for _, playing, view in due])
        share = (self.seat.busy_s - before) / len(due)
        for (hand, playing, _), chunk in zip(due, chunks, strict=True):
            self._send(hand, playing, chunk, share)

    def _send(self, hand: Hand, playing: Playing, chunk: ActionChunk, share: float) -> None:
        playing.decisions += 1
        playing.policy_s += share
        playing.statuses[chunk.status] += 1
        with self._losing(hand):
            hand.waits_for({"type": "chunk", "actions": chunk.actions[: self.stage.protocol.replan]})

    def _keep(self, record: EpisodeRecord) -> None:
        self.store.append(record)
        self.seat.forget(record.key)
        self.progress.finished(record)

    # Time

    def _watch(self) -> None:
        """Give up on workers that do not answer."""
        now = time.monotonic()
        if now < self._watch_at:
            return
        for hand in self._hands:
            if hand.worker and hand.asked is not None and now - hand.asked > self.limits.timeout_s:
                hand.grace -= self._listened
                if hand.grace <= 0:
                    self._lost(hand, f"no answer within {self.limits.timeout_s:g} s")
        self._watch_at, self._listened = now + TICK_S, 0.0

    def _close(self) -> None:
        workers = [*self._leaving, *(hand.worker for hand in self._hands if hand.worker)]
        for worker in workers:
            worker.channel.close()
        for worker in workers:
            worker.close()
        self._selector.close()


def _phase(playing: Playing | None) -> str:
    """What a worker was last asked to do."""
    if playing is None:
        return "start"
    return "step" if playing.decisions else "reset"


def _observation(playing: Playing, view: View) -> Observation:
    return Observation(playing.job.spec, playing.decisions, playing.step, playing.task.instruction, view)


@contextmanager
def _shaped() -> Iterator[None]:
    """What is missing or of the wrong kind in a message makes it no message."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"not a message: {type(error).__name__}: {error}") from None
