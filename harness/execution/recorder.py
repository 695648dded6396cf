"""From what was seen of an episode to its record."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ...envs.base import Task
from ...envs.specs import ActionConvention
from ...results.action_checks import measure
from ...results.store.integrity import actions_digest
from ...results.store.records import EpisodeRecord
from ..planning.schedule import Job
from .rollout import EpisodeOutcome

MACHINE, POLICY = "machine", "policy"
"""Who an error is due to."""


@dataclass(slots=True)
class ActiveEpisode:
    """An episode in a worker's hands."""

    job: Job
    task: Task
    instruction: str
    started: float = field(default_factory=time.monotonic)
    decisions: int = 0
    step: int = 0
    """Control steps executed at the last decision."""
    statuses: Counter[str] = field(default_factory=Counter)
    policy_s: float = 0.0
    """Its share of the seconds spent in the policy."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all records of a run have in common."""

    policy: str
    """Name it runs under."""
    assets: Mapping[str, str]
    """`pack` and `fingerprint`."""
    backend: str = ""
    """Which of the suite's backends plays."""
    actions: Mapping[str, ActionConvention] = field(default_factory=dict)
    """Suite -> what it takes actions for; without those that do not say."""
    conditions: str = ""
    """Digest of what can change results; known when the policy and a worker have started."""


def finished(playing: ActiveEpisode, done: EpisodeOutcome, actions: str, facts: RunContext) -> EpisodeRecord:
    """The record of an episode that was played to its end."""
    return _record(
        playing,
        facts,
        success=done.success,
        success_any=done.success_any,
        measures=dict(done.measures),
        renderer=done.renderer,
        steps=done.steps,
        termination="success" if done.success else "budget",
        seconds={name: round(value, 6) for name, value in {**done.seconds, **_seconds(playing)}.items()},
        action_checks=measure(done.actions, facts.actions.get(playing.job.spec.suite)),
        actions=actions,
        actions_sha256=actions_digest(done.actions),
        fixtures=dict(done.fixtures),
        warnings=list(done.warnings),
        trajectory_sha256=done.trajectory_sha256,
    )


def failed(playing: ActiveEpisode, error: str, facts: RunContext, *, cause: str = MACHINE) -> EpisodeRecord:
    """The record of an episode that could not be played, and who that is due to; it counts in no rate."""
    outcome = {"success": None, "steps": playing.step, "termination": "error", "error": error, "cause": cause}
    return _record(playing, facts, **outcome, seconds=_seconds(playing))


def _seconds(playing: ActiveEpisode) -> dict[str, float]:
    return {"policy": round(playing.policy_s, 6), "total": round(time.monotonic() - playing.started, 6)}


def _record(playing: ActiveEpisode, facts: RunContext, **outcome: object) -> EpisodeRecord:
    spec, task = playing.job.spec, playing.task
    return EpisodeRecord(
        key=spec.key,
        suite=spec.suite,
        task=task.name,
        task_id=spec.task_id,
        variant=spec.variant,
        instruction=playing.instruction,
        init_state=spec.init_state,
        seed=spec.seed,
        protocol=spec.protocol,
        policy=facts.policy,
        assets=facts.assets,
        backend=facts.backend,
        conditions=facts.conditions,
        attempts=playing.job.attempt,
        policy_losses=playing.job.policy_losses,
        decisions=playing.decisions,
        chunk_status=dict(playing.statuses),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        **outcome,  # type: ignore[arg-type]
    )
