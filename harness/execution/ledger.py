"""The ledger of a session: which episodes are due, were lost, are given up or are recorded. Starts no process.

Shared by all executors: an executor runs what `next_episode` returns and reports how it ended. Nothing here decides a result:
the episode's key and the policy do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ...envs.base import EpisodeSpec
from ...envs.errors import MissingRequirementError, PolicyFailedError
from ...policies.base import PolicyContext
from ...results.store.lost_attempts import LostAttempt
from ...results.store.records import EpisodeRecord, now
from ...results.store.writer import Store
from ..planning.latency import delay_of, is_measured, latencies
from ..planning.schedule import Job
from . import recorder
from .policy_check import EpisodesMixed
from .policy_host import PolicyHost
from .progress import Progress
from .recorder import ActiveEpisode
from .rollout import EpisodeOutcome
from .worker_process import log_tail

if TYPE_CHECKING:
    from ..planning.resolve import ResolvedRun

MAX_FAILED_BEFORE_FIRST_SUCCESS = 5
"""Episodes that may be given up before the first one has run to its end; then the run is given up."""
MAX_FAILED_STARTS = 3
"""Workers that may fail to start, one after the other, before the run is given up."""


class EpisodeLedger:
    """Bookkeeping of one session; keeps records in `store`.

    Args:
        resolved: the run; episodes that `store` has are not due.
        policy_host: set up when the first worker is ready; notified when an episode ends.
        store: of the run's folder.
        progress: receives notes and finished episodes.
        on_ready: called with the first worker's versions when it and the policy have started; returns the conditions' digest.
        on_record: called with every record before it is kept and before the policy drops the episode's state.
    """

    def __init__(
        self,
        resolved: ResolvedRun,
        policy_host: PolicyHost,
        store: Store,
        progress: Progress,
        on_ready: Callable[[Mapping[str, str]], str] = lambda versions: "",
        on_record: Callable[[EpisodeRecord], None] = lambda record: None,
    ) -> None:
        self.setup, self.limits, self.until = resolved.setup, resolved.limits, resolved.until
        self.policy_host, self.store, self.progress = policy_host, store, progress
        self.peak_gib = 0.0
        """Largest memory of any worker."""
        self.on_episode_end: Callable[[str], None] = lambda key: None
        """Called with the key when an episode's record is kept and the policy has dropped its state."""
        self._on_ready, self._on_record = on_ready, on_record
        episodes = resolved.remaining(store.records()).episodes
        self.workers = min(self.limits.workers, len(episodes))
        """Workers that have something to do."""
        self._schedule = resolved.schedule(episodes)
        self._first = episodes[0] if episodes else None
        self._n_action_steps = resolved.policy.n_action_steps
        self._measured = any(map(is_measured, latencies({spec.perturbation for spec in episodes} - {""})))
        self._context = resolved.record_context
        self._before: Mapping[str, Mapping[str, int]] = cast(Mapping[str, Mapping[str, int]], store.metadata.unfinished or {})
        self._begun: dict[str, tuple[Job, bool]] = {}
        self._withheld: list[EpisodeRecord] = []
        self._any_finished = False
        self._failed_starts = 0
        self._ended_by_policy = False

    @property
    def unfinished(self) -> dict[str, dict[str, int]]:
        """Episodes that were started, here or in earlier sessions, and are not recorded: key -> `attempts`, `policy_losses`."""
        kept = self.store.keys()
        counts = {key: dict(before) for key, before in self._before.items() if key not in kept}
        for key, (job, running) in self._begun.items():
            lost = job.lost(by_policy=running and self._ended_by_policy)
            counts[key] = {"attempts": lost.attempt, "policy_losses": lost.policy_losses}
        return counts

    @property
    def has_due(self) -> bool:
        """Whether episodes wait for a worker."""
        return len(self._schedule) > 0

    @property
    def unmeasured(self) -> EpisodeSpec | None:
        """An episode with whose scene the policy's decision time must be measured first, under a key of no episode of the run;
        None where no delay depends on it, or an earlier session has measured it."""
        if self._first is None or not self._measured or self.store.metadata.latency:
            return None
        return replace(self._first.control, protocol=f"{self._first.protocol}#latency")

    def keep_latency(self, policy_ms: Sequence[float]) -> None:
        """Store the measured decision times (ms): later sessions use the same."""
        self.store.update_metadata(latency={"policy_ms": list(policy_ms)})

    @property
    def stopped_early(self) -> bool:
        """Whether `--until` needs no more episodes."""
        return bool(self.until and self.until.should_stop)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Around an executor's work: keeps what was withheld when all went well, and notes who ended the session otherwise."""
        try:
            yield
            self._flush_withheld()
            self._begun.clear()  # episodes that `until` does not need were not lost
        except BaseException as error:
            self._ended_by_policy = self.policy_host.interrupted or (
                isinstance(error, PolicyFailedError) and not isinstance(error, EpisodesMixed)
            )
            raise
        finally:
            for record in self.until.dropped if self.until else ():
                if record.actions:
                    (self.store.folder / record.actions).unlink(missing_ok=True)

    # Starts

    def worker_started(self, action_size: int, versions: Mapping[str, str]) -> None:
        """A worker is ready; the first one's facts set the policy up. Raises PolicyFailedError."""
        self._failed_starts = 0
        if self.policy_host.context is None:
            suites = tuple(suite.name for suite in self.setup.suites)
            self.policy_host.setup(PolicyContext(self.setup.protocol, suites, action_size))
            self._context = replace(self._context, conditions=self._on_ready(versions))

    def worker_failed_to_start(self, number: int, cause: str, log: Path) -> None:
        """Raises MissingRequirementError for the third in a row."""
        self._failed_starts += 1
        self.progress.note(f"worker {number} did not start: {cause}")
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise MissingRequirementError(f"{MAX_FAILED_STARTS} workers in a row did not start: {cause}\n{log_tail(log)}")

    def next_episode(self, worker: int) -> ActiveEpisode | None:
        """The next episode for that worker, started; attempts and policy losses of earlier sessions stay counted."""
        job = self._schedule.next(worker)
        if job is None:
            self.progress.working(worker, "")
            return None
        earlier = self._before.get(job.spec.key)
        if earlier and job.attempt == 1:
            attempts = int(earlier["attempts"])
            job = Job(job.spec, attempts + 1, int(earlier["policy_losses"]), earlier=attempts)
        self._begun[job.spec.key] = job, True
        self.store.start(job.spec.key, job.attempt, job.policy_losses)
        self.progress.working(worker, job.spec.scene)
        return self.active(job)

    def active(self, job: Job) -> ActiveEpisode:
        """The job's episode, not started."""
        spec, suite = job.spec, self.setup.suite(job.spec.suite)
        measured = (self.store.metadata.latency or {}).get("policy_ms", ())
        delay = delay_of(spec, suite, self.setup.protocol, self._n_action_steps, measured)
        return ActiveEpisode(job, self.setup.task(spec), self.setup.instruction(spec), delay)

    def budget(self, active: ActiveEpisode) -> int:
        """Control steps that the episode may take."""
        return self.limits.max_steps or self.setup.steps(active.job.spec)

    # Ends

    def finish(self, active: ActiveEpisode, outcome: EpisodeOutcome) -> None:
        """Record an episode that ran to its end."""
        self._any_finished = True
        self._flush_withheld()
        actions = self.store.write_actions(active.job.spec.key, outcome.actions)
        self._keep(recorder.finished(active, outcome, actions, self._context))

    def fail(self, active: ActiveEpisode | None, kind: str, phase: str, cause: str) -> bool:
        """Handle an exception that a worker reported; False where its environment cannot be used any more.

        Args:
            active: the worker's episode; None where it was starting.
            kind: `scene_check`, `policy`, `suite` or `env` (`worker.KINDS`).
            phase: `start`, `reset`, `step` or `observe`.
            cause: the exception, as text.

        Raises:
            PolicyFailedError, MissingRequirementError: no other episode can be expected to run.
        """
        if kind == "policy":
            raise PolicyFailedError(f"the policy failed: {cause}")
        if kind == "suite":
            raise MissingRequirementError(f"the suite cannot run here ({phase}): {cause}\nType: nora-bench doctor")
        if kind == "scene_check" and active:
            self.progress.note(f"{active.job.spec.key}: {cause}")
            self._keep(recorder.failed(active, f"{phase}: {cause}", self._context))
            return True
        return False

    def lose(self, active: ActiveEpisode, cause: str, log: Path, by: str = recorder.MACHINE) -> None:
        """Store the cause of a lost attempt; retry the episode, or give it up. `by`: `recorder.MACHINE` or `recorder.POLICY`."""
        active.job = job = active.job.lost(by_policy=by == recorder.POLICY)
        key = job.spec.key
        self._begun[key] = job, False
        log_name = log.relative_to(self.store.folder).as_posix()
        self.store.add_lost_attempt(LostAttempt(key=key, attempt=job.attempt, by=by, cause=cause, log=log_name, time=now()))
        if job.tries <= self.limits.retries:
            self.progress.note(f"{key}: {cause}; retry {job.tries} of {self.limits.retries}; see {log}")
            self._schedule.put_back(job.again())
            return
        self.progress.note(f"{key}: {cause}; given up after {job.attempt} attempts")
        self._give_up(recorder.failed(active, f"{cause}; see {log_name}", self._context, cause=by), log)

    def _give_up(self, record: EpisodeRecord, log: Path) -> None:
        """Keep the error; withhold it while no episode has finished: then the machine may be at fault, not the episode."""
        if self._any_finished:
            self._keep(record)
            return
        self._withheld.append(record)
        if len(self._withheld) >= MAX_FAILED_BEFORE_FIRST_SUCCESS:
            raise MissingRequirementError(
                f"the first {MAX_FAILED_BEFORE_FIRST_SUCCESS} episodes all failed to run: {record.error}\n{log_tail(log)}"
            )

    def _flush_withheld(self) -> None:
        while self._withheld:
            self._keep(self._withheld.pop())

    def _keep(self, record: EpisodeRecord) -> None:
        self._on_record(record)
        self.policy_host.end_episode(record.key)
        for kept in self.until.accept(record) if self.until else (record,):
            self.store.append(kept)
            self._begun.pop(kept.key, None)
            self.progress.finished(kept)
        self.on_episode_end(record.key)


class Executor(Protocol):
    """Runs the episodes of a ledger, in whatever processes."""

    @property
    def policy_host(self) -> PolicyHost:
        """Host of the run's policy."""
        ...

    def run(self, ledger: EpisodeLedger, stop: Callable[[], bool]) -> None:
        """Run what is due, all or as much as `--until` needs.

        Raises Interrupted soon after `stop` returns True, PolicyFailedError, MissingRequirementError; finished episodes are kept.
        """
        ...
