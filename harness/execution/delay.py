"""Delayed answers of a policy (perturbation `latency`): a chunk that is asked for at step t arrives d control steps later.

Until it arrives the robot executes the rest of the chunk before (`continue`), and holds where that has no more actions; or it
holds from the start (`hold`). The late chunk then starts with its action number r, where r is the number of steps in which the
chunk before was still executed. Those r steps moved the robot along, so that the first r actions of the late chunk, which was
planned for the state at step t, are stale and dropped: action r is the one planned for the step that is due. In a hold the robot
stands where the policy saw it, so that its plan still begins there and nothing is dropped. The next decision follows when as many
actions of the chunk are used up, dropped ones included, as without a delay: at least one action of every chunk is executed.

With d = 0 every function here returns what is executed without a delay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...envs.base import Array, EpisodeSpec

if TYPE_CHECKING:
    from ..planning.latency import Delay


class DelayedAnswers:
    """The chunks of one episode under a delay: `committed` at each decision, then `due` for its answer, then `count`."""

    def __init__(self, delay: Delay, spec: EpisodeSpec) -> None:
        self.delay = delay
        self._spec = spec
        self._decisions = self._waited = self._steps = self._continued = self._held = 0
        self._rest = np.empty((0, len(delay.still)))
        self._last = np.array(delay.still, np.float64)
        self._committed = self._rest
        self._from_rest = 0

    def committed(self) -> Array:
        """[d, action size] the actions that are executed before the answer to this decision arrives."""
        wait = self._draw()
        rest = self._rest[:0] if self.delay.hold else self._rest[:wait]
        self._from_rest = len(rest)
        still = np.array(self.delay.still, np.float64)
        kept = list(self.delay.kept)
        still[kept] = (rest[-1] if len(rest) else self._last)[kept]
        self._committed = np.concatenate([rest, np.tile(still, (wait - len(rest), 1))])
        self._decisions += 1
        self._waited += wait
        return self._committed

    def due(self, chunk: Array) -> Array:
        """[steps, action size] the committed actions and those of the late chunk, up to the next decision."""
        first = min(self._from_rest, len(chunk) - 1)
        end = max(self.delay.replan_steps or len(chunk), first + 1)
        self._rest, self._last = chunk[end:], chunk[first:end][-1]
        return np.concatenate([self._committed, chunk[first:end]])

    def count(self, executed: int) -> None:
        """Take note of how many of the due actions were executed."""
        self._steps += executed
        self._continued += min(executed, self._from_rest)
        self._held += min(max(0, executed - self._from_rest), len(self._committed) - self._from_rest)

    def facts(self) -> dict[str, float]:
        """Facts of the episode so far, for its record (`EpisodeRecord.latency`)."""
        steps = max(1, self._steps)
        return {
            "delay_steps": self._waited / max(1, self._decisions),
            "stale": self._continued / steps,
            "held": self._held / steps,
            "decisions_per_s": self._decisions * self.delay.control_hz / steps,
            "control_hz": self.delay.control_hz,
        }

    def _draw(self) -> int:
        """The delay of this decision, in control steps."""
        steps = self.delay.steps
        if len(steps) == 1:
            return steps[0]
        rng = np.random.default_rng(self._spec.entropy("latency", decision=self._decisions))
        return steps[int(rng.integers(len(steps)))]
