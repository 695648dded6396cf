"""Paired episodes of a policy as it is and with a correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...envs.base import EnvObservation, EpisodeSpec
from ...envs.types import Array
from ...policies.base import ActionChunk, BasePolicy, Observation, Policy, PolicyContext
from ...results.store.records import EpisodeRecord
from ..execution.policy_host import LocalPolicyHost
from .corrections import Act, Observe
from .moments import RunEpisodes, Tick, policy_log

if TYPE_CHECKING:
    from ..planning.resolve import ResolvedRun

MOST = 20
"""Pairs of episodes, at most."""


Corrections = tuple[Observe | None, Act | None]
"""Of the observation, of the chunk."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Outcomes of the same episodes with and without the correction."""

    episodes: int
    successes_before: int
    successes_after: int

    def to_json(self) -> dict[str, int]:
        """JSON-able."""
        return {"episodes": self.episodes, "before": self.successes_before, "after": self.successes_after}


class Corrected(BasePolicy):
    """A policy that is set up already, behind a correction of its observations and its chunks."""

    stochastic = True

    def __init__(self, policy: Policy, observe: Observe | None = None, act: Act | None = None) -> None:
        self._policy, self._observe, self._act = policy, observe, act
        self._host = LocalPolicyHost(policy, policy_log())
        self.observation_spec = replace(policy.observation_spec, proprio=True, proprio_spec=())
        self.tags = policy.tags
        self.n_action_steps = policy.n_action_steps

    def setup(self, context: PolicyContext) -> None:
        """The policy was set up for the diagnosis, and loading a model twice would need its memory twice."""
        self._host.context = context

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        given = [self._given(one) for one in observations]
        chunks = self._host.decide(given)
        return [self._changed(chunk, one) for chunk, one in zip(chunks, observations, strict=True)]

    def end_episode(self, key: str) -> None:
        self._policy.end_episode(key)

    def fingerprint(self) -> Mapping[str, Any]:
        return self._policy.fingerprint()

    def _given(self, observation: Observation) -> Observation:
        corrected = self._observe(observation) if self._observe else observation
        if self._policy.observation_spec.proprio:
            return corrected
        seen = corrected.env_observation
        return replace(corrected, env_observation=EnvObservation(seen.images, {}, seen.privileged, seen.instruction))

    def _changed(self, chunk: ActionChunk, observation: Observation) -> ActionChunk:
        if self._act is None:
            return chunk
        return replace(chunk, actions=executable(self._act(chunk.actions, observation), chunk.actions))


def executable(corrected: Array, original: Array) -> Array:
    """A corrected chunk without unknown numbers: rows that are all unknown are dropped, others keep the original's."""
    known = np.isfinite(corrected)
    kept = known.any(axis=1)
    return np.where(known, corrected, original)[kept]


def is_executable(act: Act | None, sample: Array, observation: Observation) -> bool:
    """Whether a correction can be applied in an episode: it knows the first action."""
    return act is None or bool(np.isfinite(act(sample, observation)[0]).all())


def confirm(
    resolved: ResolvedRun, run: RunEpisodes, specs: Sequence[EpisodeSpec], corrections: Corrections, tick: Tick
) -> Confirmation:
    """Run the episodes twice; the policy of `resolved` is set up. Raises what `lifecycle.run_session` raises."""
    before = _successes(resolved, run, Corrected(resolved.policy), specs, tick)
    after = _successes(resolved, run, Corrected(resolved.policy, *corrections), specs, tick)
    both = [key for key in before if key in after]
    return Confirmation(len(both), sum(before[key] for key in both), sum(after[key] for key in both))


def _successes(
    resolved: ResolvedRun, run: RunEpisodes, policy: Policy, specs: Sequence[EpisodeSpec], tick: Tick
) -> dict[str, bool]:
    """Key -> success of the episodes that ended without an error."""
    outcomes: dict[str, bool] = {}

    def on_record(record: EpisodeRecord) -> None:
        tick(1)
        if record.success is not None:
            outcomes[record.key] = record.success

    run(resolved, policy, specs, on_record)
    return outcomes
