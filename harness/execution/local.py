"""Local executor: one policy, N worker processes, one thread.

It reads whatever has arrived, queries the policy once for all decisions that are due, and sends every worker its chunk; it
never waits for one worker while another's decision is due. A worker that is lost is replaced and its episode retried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np

from ...envs.base import EnvObservation
from ...envs.errors import Interrupted
from ...policies.base import ActionChunk, EpisodeStateLost, Observation
from ..planning.run_settings import WorkerSetup
from ..planning.schedule import Job
from .ledger import EpisodeLedger
from .policy_check import PolicyCheck
from .policy_host import LocalPolicyHost, measured_ms
from .recorder import MACHINE, POLICY, ActiveEpisode
from .rollout import EpisodeOutcome
from .wire import WireError
from .worker_pool import WorkerPool, WorkerSlot


class LocalExecutor:
    """Runs episodes in worker processes on this machine. See `ledger.Executor` for the contract; used once."""

    def __init__(self, worker_setup: WorkerSetup, policy_host: LocalPolicyHost) -> None:
        self.worker_setup = worker_setup
        self.policy_host = policy_host
        self._check: PolicyCheck | None = None
        self._measuring: WorkerSlot | None = None
        """The worker in whose episode the policy's decision time is measured."""
        self._waiting: list[WorkerSlot] = []
        """Workers that wait for that."""

    def run(self, ledger: EpisodeLedger, stop: Callable[[], bool] = lambda: False) -> None:
        self._ledger, limits = ledger, ledger.limits
        if limits.policy_check and ledger.workers > 1:
            self._check = PolicyCheck(self.policy_host, ledger.progress.note)
            ledger.on_episode_end = self._check.ended
        logs = ledger.store.folder / "logs"
        self._pool = WorkerPool(ledger.workers, self.worker_setup, logs, limits.timeout_s, self.on_message, self._on_worker_lost)
        with ledger.session():
            try:
                self._run(stop)
            finally:
                self._pool.close()

    def _run(self, stop: Callable[[], bool]) -> None:
        for slot in self._pool.slots:
            self._launch(slot)
        while self._pool.any_running and not self._ledger.stopped_early:
            if stop():
                raise Interrupted("stopped")
            self._pool.poll()
            self._query_policy()
            self._ledger.progress.tick()

    def _launch(self, slot: WorkerSlot) -> None:
        self._ledger.progress.working(slot.number, "starting")
        self._pool.launch(slot)

    def _assign(self, slot: WorkerSlot) -> None:
        slot.active = active = self._ledger.next_episode(slot.number)
        if active is None:
            self._pool.release(slot)
        else:
            delay = asdict(active.delay) if active.delay else None
            budget = self._ledger.budget(active)
            self._pool.send(slot, {"type": "reset", "spec": asdict(active.job.spec), "budget": budget, "delay": delay})

    # Messages of workers

    def on_message(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        """Handle one message. Raises WireError for one out of turn, of another episode or of the wrong shape."""
        kind = message["type"]
        if kind not in (("observation", "done", "error") if slot.ready else ("hello", "error")):
            raise WireError(f"it sent a {kind} message out of turn")
        if slot.active and message.get("key") != slot.active.job.spec.key:
            raise WireError(f"it sent a {kind} message of another episode, {message.get('key')!r:.200}")
        {"hello": self._hello, "observation": self._observation, "done": self._done, "error": self._error}[kind](slot, message)

    def _hello(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        with _parsing():
            action_size, versions = int(message["action_size"]), dict(message["versions"])
        slot.ready = True
        self._ledger.worker_started(action_size, versions)
        self._measure_or_assign(slot)

    def _measure_or_assign(self, slot: WorkerSlot) -> None:
        """Give the worker its first episode; before the first of all, the scene in which the policy's latency is measured."""
        spec = self._ledger.unmeasured
        if spec is None:
            self._assign(slot)
        elif self._measuring:
            self._waiting.append(slot)
        else:
            self._measuring = slot
            slot.active = self._ledger.active(Job(spec))
            self._pool.send(slot, {"type": "reset", "spec": asdict(spec), "budget": 1, "delay": None})

    def _observation(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        active = slot.active
        assert active is not None
        with _parsing():
            step, observation = int(message["step"]), EnvObservation(**message["observation"])
            committed = message.get("committed")
            if committed is not None and np.ndim(committed) != 2:
                raise ValueError("the committed actions are no list of actions")
        if active.decisions and step <= active.step:
            raise WireError(f"it was sent a chunk at step {active.step} and is now at step {step}")
        active.step, active.committed, slot.env_observation = step, committed, observation

    def _done(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        assert slot.active is not None
        with _parsing():
            outcome, peak_gib = EpisodeOutcome(**message["done"]), float(message["peak_gib"])
        self._ledger.peak_gib = max(self._ledger.peak_gib, peak_gib)
        if slot is self._measuring:
            self._measuring, ready = None, [slot, *self._waiting]
            self._waiting = []
            for other in ready:
                self._assign(other)
            return
        self._ledger.finish(slot.active, outcome)
        self._assign(slot)

    def _error(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        with _parsing():
            kind, phase, cause = str(message["kind"]), str(message["phase"]), str(message["cause"])
        active = None if slot is self._measuring else slot.active
        if self._ledger.fail(active, kind, phase, cause):
            self._assign(slot)
        else:
            self._on_worker_lost(slot, cause)

    def _on_worker_lost(self, slot: WorkerSlot, cause: str, by: str = MACHINE) -> None:
        """Replace the worker and have its episode retried. `by`: who lost the episode."""
        active = slot.active
        if slot is self._measuring:  # the next worker measures
            self._measuring = active = None
        if slot in self._waiting:
            self._waiting.remove(slot)
        ended = self._pool.discard(slot)
        cause = f"{_phase(active)}: {cause}" + (f" ({ended})" if ended else "")
        if active is None:
            self._ledger.worker_failed_to_start(slot.number, cause, slot.log)
        else:
            self._ledger.lose(active, cause, slot.log, by)
        if self._ledger.has_due:
            self._launch(slot)
        else:
            self._ledger.progress.working(slot.number, "")

    # Decisions of the policy

    def _query_policy(self) -> None:
        due = [
            (slot, slot.active, slot.env_observation)
            for slot in self._pool.slots
            if slot.active and slot.env_observation is not None
        ]
        if not due:
            return
        if due[0][0] is self._measuring:
            self._measure(*due[0])
            return
        before = self.policy_host.busy_s
        observations = [self._policy_observation(active, seen) for _, active, seen in due]
        try:
            chunks = self.policy_host.decide(observations)
        except EpisodeStateLost as lost:
            self._retry_lost(lost.causes)
            return
        share = (self.policy_host.busy_s - before) / len(due)
        for (slot, active, _), chunk in zip(due, chunks, strict=True):
            self._send_chunk(slot, active, chunk, share)
        if self._check:  # after the chunks are sent: the environments step meanwhile
            self._check.add(observations, chunks)

    def _measure(self, slot: WorkerSlot, active: ActiveEpisode, seen: EnvObservation) -> None:
        """Measure the policy's decision time on the worker's observation; the worker is then free."""
        times, chunk = measured_ms(self.policy_host, self._policy_observation(active, seen))
        self._ledger.keep_latency(times)
        self._ledger.progress.note(f"latency of the policy: {min(times):.1f} to {max(times):.1f} ms in {len(times)} decisions")
        self._send_chunk(slot, active, chunk, 0.0)

    def _policy_observation(self, active: ActiveEpisode, seen: EnvObservation) -> Observation:
        spec = active.job.spec
        instruction = self._ledger.setup.present_instruction(spec, active.instruction, seen.instruction)
        return Observation(spec, active.decisions, active.step, instruction, seen, active.committed)

    def _retry_lost(self, causes: Mapping[str, str]) -> None:
        """The policy has lost the state of these episodes. A worker cannot leave an episode, so their workers are replaced."""
        for slot in self._pool.slots:
            if slot.active and slot.active.job.spec.key in causes:
                self._on_worker_lost(slot, causes[slot.active.job.spec.key], by=POLICY)

    def _send_chunk(self, slot: WorkerSlot, active: ActiveEpisode, chunk: ActionChunk, share: float) -> None:
        active.decisions += 1
        active.policy_s += share
        active.statuses[chunk.status] += 1
        limit = None if active.delay else self._ledger.setup.protocol.replan_steps
        self._pool.send(slot, {"type": "chunk", "actions": chunk.actions[:limit]})


def _phase(active: ActiveEpisode | None) -> str:
    """The last command to a worker."""
    if active is None:
        return "start"
    return "step" if active.decisions else "reset"


@contextmanager
def _parsing() -> Iterator[None]:
    """Turns what a missing or mistyped field raises into WireError."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"not a message: {type(error).__name__}: {error}") from None
