"""Records of episodes, from what was observed of them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from ...envs.base import Array, Task
from ...results.action_checks import measure
from ...results.store.integrity import actions_digest
from ...results.store.records import EpisodeRecord, now
from ..planning.latency import Delay
from ..planning.run_settings import RunContext
from ..planning.schedule import Job
from .rollout import EpisodeOutcome

MACHINE, POLICY = "machine", "policy"
"""Causes of an error."""


@dataclass(slots=True)
class ActiveEpisode:
    """An episode that a worker is running."""

    job: Job
    task: Task
    instruction: str
    delay: Delay | None = None
    """Of the policy's answers."""
    started: float = field(default_factory=time.monotonic)
    decisions: int = 0
    step: int = 0
    """Control steps executed at the last decision."""
    committed: Array | None = None
    """Actions that are executed before the answer to the last decision arrives; None where answers are not delayed."""
    statuses: Counter[str] = field(default_factory=Counter)
    policy_s: float = 0.0
    """Share of the episode in the seconds spent in the policy."""


def finished(active: ActiveEpisode, outcome: EpisodeOutcome, actions: str, context: RunContext) -> EpisodeRecord:
    """The record of an episode that ran to its end."""
    return _record(
        active,
        context,
        success=outcome.success,
        success_any=outcome.success_any,
        measures=dict(outcome.measures),
        renderer=outcome.renderer,
        steps=outcome.steps,
        termination="success" if outcome.success else "budget",
        seconds={name: round(value, 6) for name, value in {**outcome.seconds, **_seconds(active)}.items()},
        action_checks=measure(outcome.actions, context.actions.get(active.job.spec.suite)),
        actions=actions,
        actions_sha256=actions_digest(outcome.actions),
        fixtures=dict(outcome.fixtures),
        warnings=list(outcome.warnings),
        trajectory_sha256=outcome.trajectory_sha256,
        features={} if outcome.success else dict(outcome.features),
        latency={name: round(value, 6) for name, value in outcome.latency.items()},
    )


def failed(active: ActiveEpisode, error: str, context: RunContext, *, cause: str = MACHINE) -> EpisodeRecord:
    """The record of an episode that could not be run, with the cause of that; it counts in no rate."""
    fields = {"success": None, "steps": active.step, "termination": "error", "error": error, "cause": cause}
    return _record(active, context, **fields, seconds=_seconds(active))


def _seconds(active: ActiveEpisode) -> dict[str, float]:
    return {"policy": round(active.policy_s, 6), "total": round(time.monotonic() - active.started, 6)}


def _record(active: ActiveEpisode, context: RunContext, **fields: object) -> EpisodeRecord:
    spec, task = active.job.spec, active.task
    return EpisodeRecord(
        key=spec.key,
        suite=spec.suite,
        task=task.name,
        task_id=spec.task_id,
        variant=spec.variant,
        instruction=active.instruction,
        init_state=spec.init_state,
        init_set=spec.init_set,
        seed=spec.seed,
        perturbation=spec.perturbation,
        protocol=spec.protocol,
        policy=context.policy,
        assets=context.assets,
        backend=context.backend,
        conditions=context.conditions,
        attempts=active.job.attempt,
        policy_losses=active.job.policy_losses,
        decisions=active.decisions,
        chunk_status=dict(active.statuses),
        finished=now(),
        **fields,  # type: ignore[arg-type]
    )
