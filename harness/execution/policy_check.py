"""Check at the start of a run that a policy does not mix episodes up.

With more than one worker the policy receives observations of several episodes in turn. A policy with a single action queue for
all of them would run each with another's actions, and nothing in the run would show it. So the first two decisions of one
episode are queried again under separate keys: alone, and together with another episode. Costs five chunks in four calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...envs.errors import PolicyFailedError
from ...policies.base import ActionChunk, EpisodeStateLost, Observation
from .policy_host import LocalPolicyHost

DECISIONS = 2
"""First decisions of an episode that are queried again."""
ROUNDING = 0.05
"""Largest difference that another batch size causes, relative to the larger of 1 and the chunk's largest number: a model with
8 significant bits (bfloat16) differs by a percent, one with 256 action bins by a few bins."""
REPEATED = 1e-5
"""The same for two calls of one shape: the resolution of float32."""
UNCHECKED = frozenset({"undeclared", "replayed"})
"""Tags of policies that are not checked: servers that declare nothing, and recordings, which have no other keys."""
ADVICE = (
    "With more than one worker its episodes would get other actions than alone. Keep state by observation.key, reset it at "
    "decision 0 and drop it in end_episode (docs/guide/policies.md; nora_bench.check_policy tests it), or type --workers 1. "
    "--no-policy-check runs without this check"
)


class EpisodesMixed(PolicyFailedError):
    """The policy's chunks depend on which other episodes it is queried for. No episode is lost by that."""


class PolicyCheck:
    """Collects the first decisions of a run, and checks the policy once two episodes have made theirs."""

    def __init__(self, host: LocalPolicyHost, note: Callable[[str], None]) -> None:
        self._host = host
        self._note = note
        self._seen: dict[str, list[tuple[Observation, ActionChunk]]] = {}
        self._ended: set[str] = set()
        self.over = bool(UNCHECKED & set(host.policy.tags))
        """Whether the check is done or does not apply."""

    def add(self, observations: Sequence[Observation], chunks: Sequence[ActionChunk]) -> None:
        """Take in the policy's chunks; check it when there are enough. Raises EpisodesMixed where it mixes episodes up."""
        for one, chunk in zip(observations, chunks, strict=True):
            if one.decision == 0 and (one.key in self._seen or len(self._seen) < 2):
                self._seen[one.key] = []
            seen = self._seen.get(one.key)
            if seen is not None and one.decision == len(seen) < DECISIONS:
                seen.append((one, chunk))
        self._check_when_ready()

    def ended(self, key: str) -> None:
        """The episode has ended. Raises EpisodesMixed like `add`."""
        self._ended.add(key)
        self._check_when_ready()

    def _check_when_ready(self) -> None:
        ready = [key for key, seen in self._seen.items() if len(seen) == DECISIONS or (seen and key in self._ended)]
        if self.over or len(ready) < 2:
            return
        self.over = True
        first, second = (self._seen[key] for key in ready)
        self._seen = {}
        self._compare([one for one, _ in first], second[0][0], [chunk for _, chunk in first])

    def _compare(self, queried: Sequence[Observation], neighbour: Observation, returned: Sequence[ActionChunk]) -> None:
        """Query an episode's first decisions alone and with another episode, and compare; `returned`: the run's own chunks."""
        try:
            alone = self._alone(queried)
        except (PolicyFailedError, EpisodeStateLost) as error:
            self._note(f"policy check: skipped, the policy cannot be queried for copies of an episode ({_short(error)})")
            return
        try:
            together = self._with_neighbour(queried, neighbour)
        except EpisodeStateLost as error:
            self._note(f"policy check: skipped, the policy lost the state of a copy of an episode ({_short(error)})")
            return
        except PolicyFailedError as error:
            raise EpisodesMixed(f"{error}\nIt failed with two episodes in turn, and not with one alone. {ADVICE}") from None
        differences = [*_differences(together, alone, exact=True), *_differences(returned, alone, exact=False)]
        if differences:
            self._attribute(differences, queried, neighbour, alone)

    def _attribute(
        self,
        differences: Sequence[Difference],
        queried: Sequence[Observation],
        neighbour: Observation,
        alone: Sequence[ActionChunk],
    ) -> None:
        """Attribute differing chunks to the policy's own noise, to rounding, or to another episode."""
        if [*_differences(self._alone(queried), alone, exact=True)]:
            self._note(
                "policy check: the policy returns different chunks for the same observation: its episodes cannot be "
                "repeated. Take randomness from observation.rng() (docs/guide/policies.md)"
            )
            return
        (others,) = self._alone([neighbour])
        leaks = [one for one in differences if one.size > one.limit or np.array_equal(one.chunk.actions, others.actions)]
        worst = max(leaks or differences, key=lambda one: one.size)
        if not leaks:
            self._note(f"policy check: in a batch its chunks differ by up to {worst.size:.2g} from those alone, as by rounding")
            return
        raise EpisodesMixed(
            f"the policy ({type(self._host.policy).__name__}) mixes episodes up: at decision {worst.decision} of "
            f"{queried[0].key} "
            f"its chunk changes when {neighbour.key} is queried in between (by {worst.size:.2g}). {ADVICE}"
        )

    def _alone(self, queried: Sequence[Observation]) -> list[ActionChunk]:
        probes = [_probe(one, "alone") for one in queried]
        try:
            return [self._host.decide([one])[0] for one in probes]
        finally:
            self._host.end_episode(probes[0].key)

    def _with_neighbour(self, queried: Sequence[Observation], neighbour: Observation) -> list[ActionChunk]:
        """Chunks of the policy, the first of them in one batch with the other episode's."""
        probes, other = [_probe(one, "first") for one in queried], _probe(neighbour, "second")
        try:
            first = self._host.decide([probes[0], other])[0]
            return [first, *(self._host.decide([one])[0] for one in probes[1:])]
        finally:
            self._host.end_episode(probes[0].key)
            self._host.end_episode(other.key)


@dataclass(frozen=True, slots=True)
class Difference:
    """Two chunks for one observation that are not the same."""

    decision: int
    size: float
    """Largest difference; infinite where the lengths differ."""
    limit: float
    """Largest difference that rounding causes."""
    chunk: ActionChunk
    """The chunk together with another episode."""


def _probe(one: Observation, name: str) -> Observation:
    """The observation under an episode key that is not of the run, with the same randomness."""
    return replace(one, spec=replace(one.spec, protocol=f"{one.spec.protocol}#check-{name}"))


def _differences(given: Sequence[ActionChunk], alone: Sequence[ActionChunk], *, exact: bool) -> Iterator[Difference]:
    """The chunks that differ. `exact`: later ones come from calls of one shape and must be equal where earlier ones are."""
    for decision, (a, b) in enumerate(zip(given, alone, strict=True)):
        if np.array_equal(a.actions, b.actions):
            continue
        size = float(np.abs(a.actions - b.actions).max()) if a.actions.shape == b.actions.shape else float("inf")
        part = REPEATED if exact and decision else ROUNDING
        yield Difference(decision, size, part * max(1.0, float(np.abs(b.actions).max())), a)
        exact = False


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0]
