"""Queries of a policy at recorded moments, under the hypotheses' corrections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...envs.base import EnvObservation, ObservationSpec
from ...envs.types import Array
from ...policies.base import Observation
from ..execution.policy_host import LocalPolicyHost
from .corrections import Act, Observe
from .moments import Moment, padded

BATCH = 8
"""Observations of one query: servers of vla-eval open one connection for each."""


class Queries:
    """Queries a policy at single moments, each as the first decision of an episode of its own."""

    def __init__(self, host: LocalPolicyHost, spec: ObservationSpec, tick: Callable[[int], None] = lambda count: None) -> None:
        self._host, self._spec, self._tick = host, spec, tick
        self.passes = 0
        """Observations queried so far."""

    def answers(self, moments: Sequence[Moment], name: str, observe: Observe | None = None) -> list[Array]:
        """[steps, action size] for each moment. Raises PolicyFailedError, EpisodeStateLost."""
        chunks: list[Array] = []
        for first in range(0, len(moments), BATCH):
            batch = [
                self._input(moment, f"{name}-{first + at}", observe) for at, moment in enumerate(moments[first : first + BATCH])
            ]
            try:
                chunks += [chunk.actions for chunk in self._host.decide(batch)]
            finally:
                for observation in batch:
                    self._host.end_episode(observation.key)
            self.passes += len(batch)
            self._tick(len(batch))
        return chunks

    def _input(self, moment: Moment, name: str, observe: Observe | None) -> Observation:
        """The observation under a key that no other query has, with what the policy asked for."""
        seen = moment.observation
        spec = replace(seen.spec, protocol=f"{seen.spec.protocol}#diagnose-{name}")
        corrected = observe(seen) if observe else seen
        given = EnvObservation(
            images={camera: corrected.images[camera] for camera in self._spec.cameras},
            proprio=corrected.proprio if self._spec.proprio else {},
        )
        return replace(corrected, spec=spec, decision=0, step=0, env_observation=given)


def corrected(chunks: Sequence[Array], moments: Sequence[Moment], act: Act | None) -> Array:
    """[moments, HORIZON, action size] answers after a correction."""
    rows = [act(chunk, moment.observation) if act else chunk for chunk, moment in zip(chunks, moments, strict=True)]
    return np.stack([padded(chunk) for chunk in rows])
