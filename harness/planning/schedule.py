"""Schedules: the next episode of a worker. Affects time, never results.

`Schedule`: a worker keeps its task while the task has episodes left, because building a task's model costs seconds.
`RoundSchedule`: at any time the finished episodes are a fair sample of the plan, because a round has a share of every task.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...envs.base import EpisodeSpec
from ...envs.perturbations import axes

if TYPE_CHECKING:
    from ...results.comparisons.rounds import Round


Model = tuple[str, int, str, str]


def model_of(spec: EpisodeSpec) -> Model:
    """Suite, task, variant, and the perturbation where it needs a model of its own: episodes with equal values share a model."""
    rebuilt = spec.perturbation if spec.perturbation and axes.get(spec.perturbation).rebuilds else ""
    return spec.suite, spec.task_id, spec.variant, rebuilt


@dataclass(frozen=True, slots=True)
class Job:
    """An episode to run, and its earlier attempts."""

    spec: EpisodeSpec
    attempt: int = 1
    policy_losses: int = 0
    """Attempts that the policy lost."""
    earlier: int = 0
    """Attempts in earlier sessions."""

    @property
    def task(self) -> Model:
        """Jobs with equal values share a task model."""
        return model_of(self.spec)

    @property
    def tries(self) -> int:
        """Attempts in this session, this one included."""
        return self.attempt - self.earlier

    def lost(self, *, by_policy: bool) -> Job:
        """This attempt, marked as lost."""
        return replace(self, policy_losses=self.policy_losses + by_policy)

    def again(self) -> Job:
        """The next attempt."""
        return replace(self, attempt=self.attempt + 1)


class Schedule:
    """The episodes of a run that are not running yet."""

    def __init__(self, specs: Iterable[EpisodeSpec]) -> None:
        self._tasks: dict[Model, deque[Job]] = {}
        self._at: dict[int, Model] = {}
        for spec in specs:
            job = Job(spec)
            self._tasks.setdefault(job.task, deque()).append(job)

    def __len__(self) -> int:
        return sum(map(len, self._tasks.values()))

    def next(self, worker: int) -> Job | None:
        """The next job for that worker: of its task, else of the task with the fewest workers and the most work."""
        task = self._at.get(worker)
        if task is None or not self._tasks[task]:
            task = self._choose(worker)
        if task is None:
            return None
        self._at[worker] = task
        return self._tasks[task].popleft()

    def put_back(self, job: Job) -> None:
        """Return a job that was started and not finished; it becomes the first of its task."""
        self._tasks[job.task].appendleft(job)

    def _choose(self, worker: int) -> Model | None:
        self._at.pop(worker, None)
        taken = Counter(self._at.values())
        left = [task for task, jobs in self._tasks.items() if jobs]
        return min(left, key=lambda task: (taken[task], -len(self._tasks[task])), default=None)


class RoundSchedule:
    """Episodes that are not running yet, round after round; within a round a worker keeps its task. Used like `Schedule`."""

    def __init__(self, rounds: Iterable[Iterable[EpisodeSpec]]) -> None:
        self._rounds = [[Job(spec) for spec in episodes] for episodes in rounds]
        self._round = {job.spec.key: number for number, jobs in enumerate(self._rounds) for job in jobs}
        self._at: dict[int, Model] = {}

    def __len__(self) -> int:
        return sum(map(len, self._rounds))

    def next(self, worker: int) -> Job | None:
        """The next job for that worker: of the first round with any left, its own task before those of others."""
        jobs = next(filter(None, self._rounds), None)
        if jobs is None:
            return None
        own = self._at.pop(worker, None)
        taken = set(self._at.values())
        job = min(jobs, key=lambda job: (job.task != own, job.task in taken))
        jobs.remove(job)
        self._at[worker] = job.task
        return job

    def put_back(self, job: Job) -> None:
        """Return a job that was started and not finished; it becomes the first of its round."""
        self._rounds[self._round[job.spec.key]].insert(0, job)


def by_rounds(plan: Iterable[Round], episodes: Collection[EpisodeSpec]) -> RoundSchedule:
    """A schedule of those episodes of the plan, round after round."""
    selected = set(episodes)
    return RoundSchedule([spec for entry in one for spec in entry.episodes if spec in selected] for one in plan)
