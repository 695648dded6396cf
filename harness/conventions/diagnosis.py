"""A diagnosis: every hypothesis scored on the expert's moments, and what may be concluded from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...envs.types import Array
from .hypotheses import Hypothesis
from .moments import Moment, episodes_of
from .querying import Queries, corrected
from .scoring import Estimate, Improvement, Scorer, trained_rows
from .selection import Subject, action_hypotheses, fix, observation_hypotheses

MOST_PASSES = 2000
"""Observations that a policy is queried for, at most."""
SCREENED = 2
"""Moments of each episode at which every hypothesis on observations is tested."""
FINALISTS = 3
"""Hypotheses on observations that are tested at all moments."""
CLEAR_SHARE = 0.25
"""Part of the error that a correction must remove to be named."""
CLEAR_GAIN = 0.004
"""Least gain in the mean error of an action, in the expert's spread."""
RESEMBLANCE = 0.1
"""Least skill (`Scorer.skill`) of a policy that resembles the expert."""

FOUND, NOTHING, UNLIKE = "found", "nothing found", "unlike the expert"


@dataclass(frozen=True, slots=True)
class Scored:
    """A hypothesis with its evidence."""

    hypothesis: Hypothesis
    improvement: Improvement
    moments: int
    skill: Estimate | None = None
    """Skill with the correction, of those that were examined closely."""
    fix: str = ""

    @property
    def clear(self) -> bool:
        """Whether the correction's effect is large and beyond chance, and makes the policy resemble the expert."""
        found = self.improvement
        large = found.share >= CLEAR_SHARE and found.total >= CLEAR_GAIN
        return large and found.gain.low > 0 and self.skill is not None and self.skill.low > 0 and self.skill.mean >= RESEMBLANCE

    def to_json(self) -> dict[str, Any]:
        """Evidence in plain numbers."""
        found = self.improvement
        return {
            "name": self.hypothesis.name,
            "group": self.hypothesis.group,
            "fault": self.hypothesis.fault,
            "error_before": round(found.before, 4),
            "error_after": round(found.after, 4),
            "gain": found.gain.to_json(),
            "total_gain": round(found.total, 4),
            "skill": self.skill.to_json() if self.skill else None,
            "moments": self.moments,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found."""

    verdict: str
    """`found`, `nothing found`, `unlike the expert`."""
    ranked: tuple[Scored, ...]
    """All hypotheses, the largest gain first."""
    skill: Estimate
    """The policy's as it is."""
    error: float
    """Its mean error, in the expert's spread."""
    correlations: list[float | None]
    """With the expert, per number of an action."""
    moments: int
    episodes: int
    passes: int
    equally_good: tuple[str, ...] = ()
    """Hypotheses whose effect cannot be distinguished from the first one's."""
    second: Scored | None = field(default=None)
    """A further fault that remains once the first is corrected."""

    @property
    def best(self) -> Scored | None:
        """The named hypothesis, where one is."""
        return self.ranked[0] if self.verdict == FOUND else None

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "verdict": self.verdict,
            "skill": self.skill.to_json(),
            "error": round(self.error, 4),
            "correlations": self.correlations,
            "moments": self.moments,
            "episodes": self.episodes,
            "passes": self.passes,
            "found": self.best.to_json() if self.best else None,
            "equally_good": list(self.equally_good),
            "also": self.second.to_json() if self.second else None,
            "ranked": [one.to_json() for one in self.ranked],
        }


@dataclass(frozen=True, slots=True)
class _Answers:
    """The chunks of the policy at some moments, under one correction of the observations."""

    chosen: Array
    """Indices of the moments."""
    chunks: list[Array]


class Examination:
    """Scores hypotheses from a policy's answers."""

    def __init__(self, subject: Subject, moments: Sequence[Moment]) -> None:
        self.subject, self.moments = subject, moments
        self.scorer = Scorer(np.stack([moment.expert for moment in moments]), episodes_of(moments))
        self.every = np.arange(len(moments))

    @property
    def queries_due(self) -> int:
        """About how many observations `diagnose` queries."""
        tested = len(observation_hypotheses(self.subject, self.moments))
        part = len(screened(episodes_of(self.moments), SCREENED))
        return min(MOST_PASSES, tested * part + (1 + min(FINALISTS, tested)) * len(self.every))

    def diagnose(self, queries: Queries) -> Diagnosis:
        """Query the policy under all hypotheses. Raises PolicyFailedError, EpisodeStateLost."""
        plain = _Answers(self.every, queries.answers(self.moments, "as-it-is"))
        observed = self._observed(queries, observation_hypotheses(self.subject, self.moments))
        return self._conclude(plain, observed, queries.passes)

    def diagnose_answers(self, chunks: list[Array]) -> Diagnosis:
        """The same from answers that are there already; hypotheses on observations are not tested."""
        return self._conclude(_Answers(self.every, chunks), {}, 0)

    def _observed(self, queries: Queries, hypotheses: Sequence[Hypothesis]) -> dict[Hypothesis, _Answers]:
        """Answers at a part of the moments, and at all of them for those that gained most there."""
        if not hypotheses:
            return {}
        room = MOST_PASSES - queries.passes - FINALISTS * len(self.every)
        part = screened(episodes_of(self.moments), min(SCREENED, max(1, room // len(hypotheses))))
        few = [self.moments[number] for number in part]
        found = {one: _Answers(part, queries.answers(few, one.name, one.observe)) for one in hypotheses}
        scorer = self.scorer.subset(part)
        errors = {one: np.nanmean(scorer.errors(corrected(answers.chunks, few, None))) for one, answers in found.items()}
        for one in sorted(found, key=lambda one: errors[one])[:FINALISTS]:
            if queries.passes + len(self.every) <= MOST_PASSES:
                found[one] = _Answers(self.every, queries.answers(self.moments, f"{one.name}-all", one.observe))
        return found

    def _conclude(self, plain: _Answers, observed: dict[Hypothesis, _Answers], passes: int) -> Diagnosis:
        before = corrected(plain.chunks, self.moments, None)
        longest = max(len(chunk) for chunk in plain.chunks)
        trained = trained_rows(self.scorer.row_skills(before)[: self.subject.protocol.replan_steps])
        actions = action_hypotheses(self.subject, longest, self.moments, trained)
        scored = [self._of_observation(one, answers, before) for one, answers in observed.items()]
        scored += [self._of_action(one, plain, before) for one in actions]
        ranked = sorted(scored, key=lambda one: -one.improvement.total)
        skill = self.scorer.skill(before)
        error = float(np.nanmean(self.scorer.errors(before)))
        ranked = [self._closely(one, plain, observed) if one.improvement.share >= CLEAR_SHARE else one for one in ranked]
        clear = [one for one in ranked if one.clear]
        verdict = FOUND if clear else NOTHING if skill.mean >= RESEMBLANCE and skill.low > 0 else UNLIKE
        second, equal = None, ()
        if clear:
            ranked = [clear[0], *(one for one in ranked if one is not clear[0])]
            equal = tuple(one.hypothesis.name for one in clear[1:] if not self._worse(one, clear[0]))
            second = self._second(clear[0].hypothesis, plain, observed, actions)
        ranked = [self._with_fix(one) for one in ranked]
        facts = len(self.moments), len(set(episodes_of(self.moments))), passes
        return Diagnosis(verdict, tuple(ranked), skill, error, self.scorer.correlations(before), *facts, equal, second)

    def _of_observation(self, one: Hypothesis, answers: _Answers, before: Array) -> Scored:
        after = self._after(one, answers)
        return Scored(one, self._at(answers).improvement(before[answers.chosen], after), len(answers.chosen))

    def _of_action(self, one: Hypothesis, plain: _Answers, before: Array) -> Scored:
        after = self._after(one, plain)
        found = self.scorer.improvement(before, after, one.touched, shortens=one.shortens)
        return Scored(one, found, len(self.every))

    def _after(self, one: Hypothesis, answers: _Answers) -> Array:
        return corrected(answers.chunks, [self.moments[number] for number in answers.chosen], one.act)

    def _at(self, answers: _Answers) -> Scorer:
        return self.scorer if len(answers.chosen) == len(self.every) else self.scorer.subset(answers.chosen)

    def _closely(self, one: Scored, plain: _Answers, observed: dict[Hypothesis, _Answers]) -> Scored:
        """With its skill, for those whose effect may be clear."""
        answers = observed.get(one.hypothesis, plain)
        skill = self._at(answers).skill(self._after(one.hypothesis, answers))
        return Scored(one.hypothesis, one.improvement, one.moments, skill)

    def _worse(self, one: Scored, best: Scored) -> bool:
        """Whether a clear hypothesis gains less than the best one beyond chance; untested where moments differ."""
        if len(one.improvement.by_episode) != len(best.improvement.by_episode):
            return True
        return self.scorer.estimate(best.improvement.by_episode - one.improvement.by_episode).low > 0

    def _second(
        self, first: Hypothesis, plain: _Answers, observed: dict[Hypothesis, _Answers], actions: Sequence[Hypothesis]
    ) -> Scored | None:
        """The clearest fault that remains once the first is corrected, of those that need no further query."""
        base = observed.get(first, plain)
        before = self._after(first, base)
        pairs = [(one, base) for one in actions if one.group != first.group]
        if first.act:
            pairs += observed.items()
        found = []
        for one, answers in pairs:
            few = [self.moments[number] for number in answers.chosen]
            inner, outer = (one.act, first.act) if one.act and not first.act else (first.act, one.act)
            once = corrected(
                [inner(c, m.observation) if inner else c for c, m in zip(answers.chunks, few, strict=True)], few, outer
            )
            start = before if len(answers.chosen) == len(before) else before[answers.chosen]
            scorer = self._at(answers)
            gain = scorer.improvement(start, once, one.touched, shortens=one.shortens)
            if gain.share >= CLEAR_SHARE:
                found.append(Scored(one, gain, len(few), scorer.skill(once)))
        clear = sorted((one for one in found if one.clear), key=lambda one: -one.improvement.total)
        return self._with_fix(clear[0]) if clear else None

    def _with_fix(self, one: Scored) -> Scored:
        return Scored(one.hypothesis, one.improvement, one.moments, one.skill, fix(one.hypothesis, self.subject))


def screened(episodes: Sequence[str], each: int) -> Array:
    """Indices of `each` moments of every episode, spread over it."""
    keys = np.array(episodes)
    chosen: list[int] = []
    for name in dict.fromkeys(episodes):
        own = np.flatnonzero(keys == name)
        places = np.linspace(0, len(own) - 1, min(each, len(own)) + 2)[1:-1]
        chosen += own[np.unique(places.round().astype(int))].tolist()
    return np.array(sorted(chosen))
