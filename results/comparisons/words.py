"""Whether a policy follows the words of its instruction: episodes with another task's instruction, scored for both goals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...envs.instructions import ASKED_GOAL, ORIGINAL_GOAL
from ...envs.perturbations.language import OTHER_WORDS
from ..statistics.exact import State, exact_p
from ..statistics.paired_test import p_text
from ..store.records import EpisodeRecord

PERTURBATION = OTHER_WORDS
LEVEL = 0.05
Verdict = Literal["yes", "no", "undecided"]


@dataclass(frozen=True, slots=True)
class FollowsWords:
    """Counts of episodes with another task's instruction, and the test of the two goals against each other."""

    asked: int
    """Episodes in which the goal of the instruction was reached first."""
    original: int
    """Episodes in which the task's own goal was reached first, against the instruction."""
    neither: int
    """Episodes that reached no goal, or both in one step."""
    errors: int
    """Episodes without an outcome."""
    p: float
    """Two-sided p-value of the hypothesis that the two goals are reached equally often (exact, by initial state; McNemar's test
    with one seed), in the least favourable reading of the errors."""
    verdict: Verdict
    """`yes`: the instruction's goal is reached more often, `no`: the task's own; `undecided` from p = 0.05 on."""

    @property
    def episodes(self) -> int:
        """Episodes with an outcome."""
        return self.asked + self.original + self.neither

    def text(self) -> str:
        """One line for tables and reports."""
        errors = f", {self.errors} ended in errors" if self.errors else ""
        return (
            f"follows the words: {self.verdict} (with another task's instruction, its goal was reached first in {self.asked} of "
            f"{self.episodes} episodes, the original goal in {self.original}{errors}; exact {p_text(self.p)})"
        )

    def to_json(self) -> dict[str, Any]:
        """The fields, and the number of episodes."""
        names = ("verdict", "asked", "original", "neither", "errors", "p", "episodes")
        return {name: getattr(self, name) for name in names}


def follows_words(records: Iterable[EpisodeRecord]) -> FollowsWords | None:
    """The verdict on one policy from its episodes; None where none has another task's instruction and is scored for its goal."""
    records = [record for record in records if record.perturbation == PERTURBATION]
    scored = [record for record in records if record.success is not None and ASKED_GOAL in record.measures]
    if not scored:
        return None
    suites = {record.suite for record in scored}
    failed = [record for record in records if record.success is None and record.suite in suites]
    outcomes = [(record, record.measures[ASKED_GOAL], record.measures.get(ORIGINAL_GOAL, False)) for record in scored]
    readings = [
        _test([*outcomes, *((record, asked, not asked) for record in failed)]) for asked in ((True, False) if failed else (True,))
    ]
    p, signs = max(p for p, _ in readings), {sign for _, sign in readings}
    verdict: Verdict = "undecided" if p >= LEVEL or len(signs) > 1 else "yes" if signs == {1} else "no"
    asked = sum(first and not own for _, first, own in outcomes)
    original = sum(own and not first for _, first, own in outcomes)
    return FollowsWords(asked, original, len(scored) - asked - original, len(failed), p if len(signs) == 1 else 1.0, verdict)


def _test(outcomes: Sequence[tuple[EpisodeRecord, bool, bool]]) -> tuple[float, int]:
    """p-value and sign of the difference: asked minus original; tasks weigh equally."""
    tasks: dict[tuple[str, str], dict[tuple[object, ...], list[tuple[bool, bool]]]] = {}
    for record, asked, original in outcomes:
        tasks.setdefault((record.suite, record.task), {}).setdefault(record.scene, []).append((asked, original))
    states = [(1.0, [_state(seeds) for seeds in scenes.values()]) for scenes in tasks.values()]
    total = sum(sum(state.difference for state in own) / len(own) for _, own in states)
    return exact_p(states), (total > 0) - (total < 0)


def _state(seeds: Sequence[tuple[bool, bool]]) -> State:
    """One initial state: its episodes that reached the original goal against those that reached the asked one."""
    asked, original = (sum(goals) for goals in zip(*seeds, strict=True))
    return State(((original, len(seeds), asked, len(seeds)),))
