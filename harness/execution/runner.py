"""The runner: one policy, N workers, one thread.

It reads whatever has arrived, asks the policy once for all decisions that are due, and hands every worker its chunk; it
never waits for one worker while another's decision is due. A worker that is lost is replaced and its episode
played again. Nothing here decides a result: that is the business of the episode's key and the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...envs.base import EnvObservation, EpisodeSpec
from ...policies.base import ActionChunk, EpisodeStateLost, Observation, PolicyContext
from ...results.store.records import EpisodeRecord
from ...results.store.writer import Store
from ..errors import Interrupted, MissingRequirementError, PolicyFailedError
from ..planning.early_stopping import EarlyStopping
from ..planning.plan import EvalSetup
from ..planning.schedule import Job, RoundSchedule, Schedule
from . import recorder
from .policy_check import EpisodesMixed, PolicyCheck
from .policy_host import LocalPolicyHost
from .progress import Progress
from .recorder import ActiveEpisode, RunContext
from .rollout import EpisodeOutcome
from .wire import WireError
from .worker_pool import WorkerPool, WorkerSlot
from .worker_process import WorkerSetup, log_tail

MAX_FAILED_BEFORE_FIRST_SUCCESS = 5
"""Episodes that may be given up before the first one is played; after these the run is."""
MAX_FAILED_STARTS = 3
"""Workers that may fail to start, one after the other, before the run is given up."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How much a run puts up with, and how long its episodes may be."""

    workers: int
    timeout_s: float
    retries: int
    max_steps: int | None = None
    policy_check: bool = False
    """Whether the policy is examined at the start, where there is more than one worker."""


class Runner:
    """Plays episodes and keeps them in `store`. `run` it once."""

    def __init__(
        self,
        stage: EvalSetup,
        setup: WorkerSetup,
        seat: LocalPolicyHost,
        store: Store,
        facts: RunContext,
        limits: RunLimits,
        progress: Progress,
        on_ready: Callable[[Mapping[str, str]], str] = lambda versions: "",
        until: EarlyStopping | None = None,
        over: Callable[[EpisodeRecord], None] = lambda record: None,
        before: Mapping[str, Mapping[str, int]] = {},
        schedule: Callable[[Sequence[EpisodeSpec]], Schedule | RoundSchedule] = Schedule,
    ) -> None:
        self.stage = stage
        self.setup = setup
        self.seat = seat
        self.store = store
        self.facts = facts
        self.limits = limits
        self.progress = progress
        self.on_ready = on_ready
        """Called with the first worker's versions when it and the policy have started; gives the digest of the conditions."""
        self.until = until
        """Decides which episodes are kept and when there are enough; None keeps and plays all."""
        self.schedule = schedule
        """Puts the episodes in order."""
        self.over = over
        """Called with every record before it is kept and the policy forgets the episode."""
        self.before = before
        """`unfinished` of earlier run_sessions."""
        self.peak_gib = 0.0
        """Largest memory of any worker, as far as they said."""
        self._failed_starts = 0
        self._played = False
        self._withheld: list[EpisodeRecord] = []
        self._begun: dict[str, tuple[Job, bool]] = {}
        self._ended_by_policy = False
        self._check: PolicyCheck | None = None

    @property
    def unfinished(self) -> dict[str, dict[str, int]]:
        """Episodes that were begun, here or in earlier sessions, and are not recorded: key -> `attempts`, `policy_losses`."""
        kept = self.store.keys()
        found = {key: dict(counts) for key, counts in self.before.items() if key not in kept}
        for key, (job, open_) in self._begun.items():
            now = job.lost(by_policy=open_ and self._ended_by_policy)
            found[key] = {"attempts": now.attempt, "policy_losses": now.policy_losses}
        return found

    def run(self, episodes: Sequence[EpisodeSpec], stop: Callable[[], bool] = lambda: False) -> None:
        """Play them, all or as many as `until` wants.

        Raises Interrupted soon after `stop` says so, PolicyFailedError, MissingRequirementError; what had finished is kept.
        """
        self._schedule = self.schedule(episodes)
        size = min(self.limits.workers, len(episodes))
        logs = self.store.folder / "logs"
        self._check = PolicyCheck(self.seat, self.progress.note) if self.limits.policy_check and size > 1 else None
        self._crew = WorkerPool(size, self.setup, logs, self.limits.timeout_s, self._heard, self._lost)
        try:
            for slot in self._crew.slots:
                self._launch(slot)
            while self._crew.at_work and not (self.until and self.until.should_stop):
                if stop():
                    raise Interrupted("stopped")
                self._crew.listen(wait=True)
                self._decide()
                self.progress.tick()
            self._keep_withheld()
            self._begun.clear()  # what `until` can do without was not lost
        except BaseException as error:
            self._ended_by_policy = self.seat.broken_off or (
                isinstance(error, PolicyFailedError) and not isinstance(error, EpisodesMixed)
            )
            raise
        finally:
            self._crew.close()
            self._drop()

    def _next_job(self, number: int) -> Job | None:
        """The next job for that worker; attempts of earlier sessions, and what the policy lost in them, stay counted."""
        job = self._schedule.next(number)
        if job is None:
            return None
        earlier = self.before.get(job.spec.key)
        if earlier and job.attempt == 1:
            attempts = int(earlier["attempts"])
            job = Job(job.spec, attempts + 1, int(earlier["policy_losses"]), earlier=attempts)
        self._begun[job.spec.key] = job, True
        self.store.begin(job.spec.key, job.attempt, job.policy_losses)
        return job

    def _launch(self, slot: WorkerSlot) -> None:
        self.progress.working(slot.number, "starting")
        self._crew.launch(slot)

    def _assign(self, slot: WorkerSlot) -> None:
        """Give the worker its next episode, or send it home."""
        job = self._next_job(slot.number)
        if job is None:
            self.progress.working(slot.number, "")
            self._crew.dismiss(slot)
            return
        slot.playing = ActiveEpisode(job, self.stage.task(job.spec), self.stage.instruction(job.spec))
        self.progress.working(slot.number, job.spec.scene)
        budget = self.limits.max_steps or self.stage.steps(job.spec)
        self._crew.tell(slot, {"type": "reset", "spec": asdict(job.spec), "budget": budget})

    # What workers say

    def _heard(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind not in (("look", "done", "error") if slot.ready else ("hello", "error")):
            raise WireError(f"it sent a {kind} message out of turn")
        if slot.playing and message.get("key") != slot.playing.job.spec.key:
            raise WireError(f"it sent a {kind} message of another episode, {message.get('key')!r:.200}")
        {"hello": self._hello, "look": self._look, "done": self._done, "error": self._error}[kind](slot, message)

    def _hello(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        with _shaped():
            action_size, versions = int(message["action_size"]), dict(message["versions"])
        slot.ready = True
        self._failed_starts = 0
        if self.seat.context is None:
            self.seat.setup(PolicyContext(self.stage.protocol, tuple(suite.name for suite in self.stage.suites), action_size))
            self.facts = replace(self.facts, conditions=self.on_ready(versions))
        self._assign(slot)

    def _look(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        playing = slot.playing
        assert playing is not None
        with _shaped():
            step, view = int(message["step"]), EnvObservation(**message["view"])
        if playing.decisions and step <= playing.step:
            raise WireError(f"it was told to go on at step {playing.step} and shows step {step}")
        playing.step, slot.env_observation = step, view

    def _done(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        playing = slot.playing
        assert playing is not None
        with _shaped():
            done = EpisodeOutcome(**message["done"])
            self.peak_gib = max(self.peak_gib, float(message["peak_gib"]))
        self._played = True
        self._keep_withheld()
        actions = self.store.write_actions(playing.job.spec.key, done.actions)
        self._keep(recorder.finished(playing, done, actions, self.facts))
        self._assign(slot)

    def _error(self, slot: WorkerSlot, message: dict[str, Any]) -> None:
        with _shaped():
            kind, phase, cause = str(message["kind"]), str(message["phase"]), str(message["cause"])
        if kind == "policy":
            raise PolicyFailedError(f"the policy's answer was refused: {cause}")
        if kind == "suite":
            raise MissingRequirementError(f"the suite cannot be played here ({phase}): {cause}\nType: nora-bench doctor")
        if kind == "premise" and slot.playing:
            self.progress.note(f"{slot.playing.job.spec.key}: {cause}")
            self._keep(recorder.failed(slot.playing, f"{phase}: {cause}", self.facts))
            self._assign(slot)
        else:
            self._lost(slot, cause)

    # Workers that are lost

    def _lost(self, slot: WorkerSlot, cause: str, by: str = recorder.MACHINE) -> None:
        """The worker is of no more use: replace it, and have its episode played again. `by`: who lost the episode."""
        playing = slot.playing
        ended = self._crew.discard(slot)
        cause = f"{_phase(playing)}: {cause}" + (f" ({ended})" if ended else "")
        if playing is None:
            self._failed_start(slot, cause)
        else:
            self._retry(playing, cause, slot.log, by)
        if len(self._schedule):
            self._launch(slot)
        else:
            self.progress.working(slot.number, "")

    def _failed_start(self, slot: WorkerSlot, cause: str) -> None:
        self._failed_starts += 1
        self.progress.note(f"worker {slot.number} did not start: {cause}")
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise MissingRequirementError(f"{MAX_FAILED_STARTS} workers in a row did not start: {cause}\n{log_tail(slot.log)}")

    def _retry(self, playing: ActiveEpisode, cause: str, log: Path, by: str) -> None:
        playing.job = job = playing.job.lost(by_policy=by == recorder.POLICY)
        key = job.spec.key
        self._begun[key] = job, False
        if job.tries <= self.limits.retries:
            self.progress.note(f"{key}: {cause}; played again ({job.tries} of {self.limits.retries}); see {log}")
            self._schedule.put_back(job.again())
        else:
            self.progress.note(f"{key}: {cause}; given up after {job.attempt} attempts")
            error = f"{cause}; see {log.relative_to(self.store.folder)}"
            self._give_up(recorder.failed(playing, error, self.facts, cause=by), log)

    def _give_up(self, record: EpisodeRecord, log: Path) -> None:
        """Keep the error, unless nothing can be played at all: then the fault is this machine's, and no episode's."""
        if self._played:
            self._keep(record)
            return
        self._withheld.append(record)
        if len(self._withheld) >= MAX_FAILED_BEFORE_FIRST_SUCCESS:
            raise MissingRequirementError(
                f"the first {MAX_FAILED_BEFORE_FIRST_SUCCESS} episodes could not be played, and none could: {record.error}\n{log_tail(log)}"
            )

    def _keep_withheld(self) -> None:
        while self._withheld:
            self._keep(self._withheld.pop())

    def _keep(self, record: EpisodeRecord) -> None:
        self.over(record)
        self.seat.end_episode(record.key)
        for kept in self.until.accept(record) if self.until else (record,):
            self.store.append(kept)
            self._begun.pop(kept.key, None)
            self.progress.finished(kept)
        if self._check:
            self._check.ended(record.key)

    def _drop(self) -> None:
        """Leave no actions of episodes that are not kept."""
        for record in self.until.dropped if self.until else ():
            if record.actions:
                (self.store.folder / record.actions).unlink(missing_ok=True)

    # What the policy says

    def _decide(self) -> None:
        """Ask the policy for everything that is due, and pass its answers on."""
        due = [
            (slot, slot.playing, slot.env_observation)
            for slot in self._crew.slots
            if slot.playing and slot.env_observation is not None
        ]
        if not due:
            return
        before = self.seat.busy_s
        observations = [_observation(playing, view) for _, playing, view in due]
        try:
            chunks = self.seat.decide(observations)
        except EpisodeStateLost as lost:
            self._begin_again(lost.causes)
            return
        share = (self.seat.busy_s - before) / len(due)
        for (slot, playing, _), chunk in zip(due, chunks, strict=True):
            self._pass_on(slot, playing, chunk, share)
        if self._check:  # after the answers are passed on: the worlds go on meanwhile
            self._check.saw(observations, chunks)

    def _begin_again(self, causes: Mapping[str, str]) -> None:
        """The policy has lost these episodes. A worker cannot leave one, so theirs are replaced."""
        for slot in self._crew.slots:
            if slot.playing and slot.playing.job.spec.key in causes:
                self._lost(slot, causes[slot.playing.job.spec.key], by=recorder.POLICY)

    def _pass_on(self, slot: WorkerSlot, playing: ActiveEpisode, chunk: ActionChunk, share: float) -> None:
        playing.decisions += 1
        playing.policy_s += share
        playing.statuses[chunk.status] += 1
        self._crew.tell(slot, {"type": "chunk", "actions": chunk.actions[: self.stage.protocol.replan_steps]})


def _phase(playing: ActiveEpisode | None) -> str:
    """What a worker was last asked to do."""
    if playing is None:
        return "start"
    return "step" if playing.decisions else "reset"


def _observation(playing: ActiveEpisode, view: EnvObservation) -> Observation:
    return Observation(playing.job.spec, playing.decisions, playing.step, playing.instruction, view)


@contextmanager
def _shaped() -> Iterator[None]:
    """What is missing or of the wrong kind in a message makes it no message."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"not a message: {type(error).__name__}: {error}") from None
