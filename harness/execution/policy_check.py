"""Does a policy mix episodes up? It is asked again, at the start of a run, about what it has just been shown.

With more than one worker the policy is asked about several episodes in turns. One that keeps a single queue of actions for all
of them then plays each with another's actions, and nothing in the run would say so. So the first two decisions of one episode
are asked about again under keys of their own: alone, and in company of another episode. Costs five answers in four calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...policies.base import ActionChunk, EpisodeStateLost, Observation
from ..errors import PolicyFailedError
from .policy_host import LocalPolicyHost

DECISIONS = 2
"""First decisions of an episode that are asked about again."""
ROUNDING = 0.05
"""Difference of two answers, as a part of the larger of 1 and the answer's largest number, that a batch of another size makes:
a model of 8 significant bits (bfloat16) differs by a percent, one that answers with 256 bins by a few of them."""
REPEATED = 1e-5
"""The same for two calls of one shape: what is left of float32."""
UNCHECKED = frozenset({"undeclared", "replayed"})
"""Marks of policies that are not asked again: servers of which nothing is known, and recordings, which know no other keys."""
ADVICE = (
    "With more than one worker its episodes would be played with other actions than alone. Keep what is remembered by "
    "observation.key, begin it anew at decision 0 and drop it in end_episode (docs/guide/policies.md; nora_bench.check_policy "
    "examines it), or type --workers 1. --no-policy-check plays without this check"
)


class EpisodesMixed(PolicyFailedError):
    """The policy's answers depend on which other episodes it is asked about. No episode was lost by that."""


class PolicyCheck:
    """Watches the first decisions of a run, and examines the policy once two episodes have made theirs."""

    def __init__(self, seat: LocalPolicyHost, note: Callable[[str], None]) -> None:
        self._seat = seat
        self._note = note
        self._seen: dict[str, list[tuple[Observation, ActionChunk]]] = {}
        self._ended: set[str] = set()
        self.over = bool(UNCHECKED & set(seat.policy.tags))
        """Whether there is nothing left to do."""

    def saw(self, observations: Sequence[Observation], chunks: Sequence[ActionChunk]) -> None:
        """The policy has answered so; examines it when there is enough. Raises EpisodesMixed where it mixes episodes up."""
        for one, chunk in zip(observations, chunks, strict=True):
            if one.decision == 0 and (one.key in self._seen or len(self._seen) < 2):
                self._seen[one.key] = []
            seen = self._seen.get(one.key)
            if seen is not None and one.decision == len(seen) < DECISIONS:
                seen.append((one, chunk))
        self._when_ready()

    def ended(self, key: str) -> None:
        """The episode is over: no more decisions come of it. Raises as `saw` does."""
        self._ended.add(key)
        self._when_ready()

    def _when_ready(self) -> None:
        ready = [key for key, seen in self._seen.items() if len(seen) == DECISIONS or (seen and key in self._ended)]
        if self.over or len(ready) < 2:
            return
        self.over = True
        first, second = (self._seen[key] for key in ready)
        self._seen = {}
        self._examine([one for one, _ in first], second[0][0], [chunk for _, chunk in first])

    def _examine(self, asked: Sequence[Observation], company: Observation, answered: Sequence[ActionChunk]) -> None:
        """Ask about an episode's first decisions alone and in company, and compare; `answered`: what it said in the run."""
        try:
            alone = self._alone(asked)
        except (PolicyFailedError, EpisodeStateLost) as error:
            self._note(
                f"policy check: it could not be asked about copies of an episode, so it was not examined ({_short(error)})"
            )
            return
        try:
            together = self._in_company(asked, company)
        except EpisodeStateLost as error:
            self._note(f"policy check: it lost a copy of an episode, so it was not examined ({_short(error)})")
            return
        except PolicyFailedError as error:
            said = f"{error}\nThat was when it was asked about two episodes in turns; about one alone it answered"
            raise EpisodesMixed(f"{said}. {ADVICE}") from None
        found = [*_differences(together, alone, exact=True), *_differences(answered, alone, exact=False)]
        if found:
            self._judge(found, asked, company, alone)

    def _judge(
        self, found: Sequence[Difference], asked: Sequence[Observation], company: Observation, alone: Sequence[ActionChunk]
    ) -> None:
        """Say whether differing answers are the policy's own noise, rounding, or another episode's."""
        if [*_differences(self._alone(asked), alone, exact=True)]:
            self._note(
                "policy check: the policy answers the same question differently when it is asked again: its episodes cannot be "
                "repeated; randomness comes from observation.rng() (docs/guide/policies.md)"
            )
            return
        (others,) = self._alone([company])
        leaks = [one for one in found if one.size > one.limit or np.array_equal(one.answer.actions, others.actions)]
        worst = max(leaks or found, key=lambda one: one.size)
        if not leaks:
            self._note(f"policy check: in a batch its answers differ by up to {worst.size:.2g} from those alone, as by rounding")
            return
        raise EpisodesMixed(
            f"the policy ({type(self._seat.policy).__name__}) mixes episodes up: at decision {worst.decision} of {asked[0].key} "
            f"it answers otherwise when {company.key} is asked about in between (by {worst.size:.2g}). {ADVICE}"
        )

    def _alone(self, asked: Sequence[Observation]) -> list[ActionChunk]:
        probes = [_probe(one, "alone") for one in asked]
        try:
            return [self._seat.decide([one])[0] for one in probes]
        finally:
            self._seat.end_episode(probes[0].key)

    def _in_company(self, asked: Sequence[Observation], company: Observation) -> list[ActionChunk]:
        """Its answers, the first of them in one batch with the other episode's."""
        probes, other = [_probe(one, "first") for one in asked], _probe(company, "second")
        try:
            first = self._seat.decide([probes[0], other])[0]
            return [first, *(self._seat.decide([one])[0] for one in probes[1:])]
        finally:
            self._seat.end_episode(probes[0].key)
            self._seat.end_episode(other.key)


@dataclass(frozen=True, slots=True)
class Difference:
    """Two answers to one question that are not the same."""

    decision: int
    size: float
    """Of the largest difference; infinite where one is longer."""
    limit: float
    """What rounding makes."""
    answer: ActionChunk
    """The one that was given in company."""


def _probe(one: Observation, name: str) -> Observation:
    """The observation as one of an episode that is not of the run: another key, the same randomness."""
    return replace(one, spec=replace(one.spec, protocol=f"{one.spec.protocol}#check-{name}"))


def _differences(given: Sequence[ActionChunk], alone: Sequence[ActionChunk], *, exact: bool) -> Iterator[Difference]:
    """The answers that differ. `exact`: later ones were asked for in calls of one shape: equal where those before them are."""
    for decision, (a, b) in enumerate(zip(given, alone, strict=True)):
        if np.array_equal(a.actions, b.actions):
            continue
        size = float(np.abs(a.actions - b.actions).max()) if a.actions.shape == b.actions.shape else float("inf")
        part = REPEATED if exact and decision else ROUNDING
        yield Difference(decision, size, part * max(1.0, float(np.abs(b.actions).max())), a)
        exact = False


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0]
