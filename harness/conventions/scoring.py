"""Errors of answers against the expert's actions, and whether a correction improves them.

Errors are absolute differences in units of the expert's spread in that number, cut at `LIMIT`, so that a few wild actions do not
decide. Differences are paired by moment, and moments of one episode count as one observation of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...envs.types import Array

LIMIT = 3.0
"""Largest error of one number, in the expert's spread."""
LEVEL = 0.99
"""Level of each interval: dozens of hypotheses are tested."""
SMALLEST_SPREAD = 0.2
"""Least spread of a number, as a share of the largest one of translation or rotation: jitter about 0 is no scale."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over episodes with its interval."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Rounded, for reports; None for a bound that the episodes do not give."""
        bounds = {"low": self.low, "high": self.high}
        return {"mean": round(self.mean, 4), **{name: round(v, 4) if np.isfinite(v) else None for name, v in bounds.items()}}


@dataclass(frozen=True, slots=True)
class Improvement:
    """The effect of a correction on the errors of the same moments."""

    before: float
    """Mean error without it, over the numbers that the correction changes."""
    after: float
    gain: Estimate
    """Before minus after."""
    total: float
    """The same over all numbers of an action, by which hypotheses are ranked."""
    by_episode: Array
    """[episodes] total gain of each."""

    @property
    def share(self) -> float:
        """Part of the error that the correction removes; negative where it adds some."""
        return self.gain.mean / self.before if self.before > 0 else 0.0


class Scorer:
    """Compares chunks with the expert's actions at fixed moments."""

    def __init__(self, expert: Array, episodes: Sequence[str]) -> None:
        """`expert`: [moments, steps, action size], NaN beyond an episode's end; `episodes`: the episode of each moment."""
        self.expert = expert
        names = list(dict.fromkeys(episodes))
        self._episode = np.array([names.index(name) for name in episodes])
        self._count = len(names)
        self.spread = _spread(expert)
        self.used = self.spread > 0
        """[action size] numbers that the expert varies; the others are not compared."""

    def subset(self, chosen: Array) -> Scorer:
        """The same, with the same spread, at some of the moments."""
        part = object.__new__(Scorer)
        part.expert, part.spread, part.used = self.expert[chosen], self.spread, self.used
        _, part._episode = np.unique(self._episode[chosen], return_inverse=True)
        part._count = int(part._episode.max()) + 1
        return part

    def errors(self, answers: Array) -> Array:
        """[moments, steps, action size]; NaN where either side is unknown or the number is not compared."""
        scale = np.where(self.used, self.spread, np.nan)
        return np.minimum(np.abs(answers - self.expert) / scale, LIMIT)

    def improvement(self, before: Array, after: Array, touched: slice = slice(None), *, shortens: bool = False) -> Improvement:
        """The effect of a correction; entries that it leaves unknown count on neither side, unless it shortens chunks."""
        first, second = self.errors(before), self.errors(after)
        if not shortens:
            first = np.where(np.isnan(second), np.nan, first)
            second = np.where(np.isnan(first), np.nan, second)
        return Improvement(
            self._mean(first[..., touched]),
            self._mean(second[..., touched]),
            self._estimate(self._episodes(first[..., touched]) - self._episodes(second[..., touched])),
            float(np.nanmean(self._episodes(first) - self._episodes(second))),
            self._episodes(first) - self._episodes(second),
        )

    def skill(self, answers: Array) -> Estimate:
        """1 for the expert's own actions, 0 for actions that fit the moment no better than another episode's moments."""
        matched = self._episodes(self.errors(answers))
        other = np.nanmean([self._mismatched(answers, number) for number in range(len(answers))])
        return self._estimate(1.0 - matched / max(float(other), 1e-9))

    def row_skills(self, answers: Array) -> Array:
        """[steps] skill of each row of the chunks; NaN for rows that fewer than half of the moments have."""
        matched = self.errors(answers)
        others = np.stack([_known_mean(self._against(answers, number), (0, 2)) for number in range(len(answers))])
        common = np.isfinite(matched).any(axis=2).mean(axis=0) >= 0.5
        skills = 1.0 - _known_mean(matched, (0, 2)) / np.maximum(_known_mean(others, (0,)), 1e-9)
        return np.where(common, skills, np.nan)

    def estimate(self, by_episode: Array) -> Estimate:
        """The mean of one value per episode with its interval."""
        return self._estimate(by_episode)

    def correlations(self, answers: Array) -> list[float | None]:
        """Pearson's correlation with the expert for each number; None where either does not vary."""
        out: list[float | None] = []
        for index in range(answers.shape[2]):
            given, wanted = answers[..., index].ravel(), self.expert[..., index].ravel()
            known = np.isfinite(given) & np.isfinite(wanted)
            varied = known.sum() > 2 and np.ptp(given[known]) > 1e-9 and np.ptp(wanted[known]) > 1e-9
            out.append(round(float(np.corrcoef(given[known], wanted[known])[0, 1]), 3) if varied else None)
        return out

    def _mismatched(self, answers: Array, number: int) -> float:
        return _by_dimension(self._against(answers, number)[None])[0]

    def _against(self, answers: Array, number: int) -> Array:
        """[other moments, steps, action size] errors of one answer at the moments of other episodes."""
        others = self.expert[self._episode != self._episode[number]]
        scale = np.where(self.used, self.spread, np.nan)
        return np.minimum(np.abs(answers[number][None] - others) / scale, LIMIT)

    def _episodes(self, errors: Array) -> Array:
        """[episodes] mean error; every number of an action weighs equally."""
        return np.array([_by_dimension(errors[None, self._episode == number])[0] for number in range(self._count)])

    def _mean(self, errors: Array) -> float:
        return float(np.nanmean(self._episodes(errors))) if np.isfinite(errors).any() else 0.0

    def _estimate(self, values: Array) -> Estimate:
        from scipy.stats import t

        values = values[np.isfinite(values)]
        if not len(values):
            return Estimate(0.0, -np.inf, np.inf)
        mean = float(values.mean())
        if len(values) < 2:
            return Estimate(mean, -np.inf, np.inf)
        half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        return Estimate(mean, mean - half, mean + half)


def trained_rows(skills: Array) -> int | None:
    """Number of a chunk's first rows after which skill falls at once to less than half and stays there; None where it does not.

    Skill that fades from row to row is what any prediction does.
    """
    known = skills[np.isfinite(skills)]
    best, found = 0.0, None
    for count in range(2, len(known) - 1):
        head, tail = float(known[:count].mean()), float(known[count:].mean())
        sudden = known[count - 1] - known[count] >= 0.5 * (head - tail)
        if head - tail > best and tail < 0.5 * head and sudden:
            best, found = head - tail, count
    return found


def _known_mean(values: Array, axes: tuple[int, ...]) -> Array:
    """Mean over axes of the numbers that are known; NaN where none is."""
    known = np.isfinite(values)
    count = known.sum(axis=axes)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=axes) / np.maximum(count, 1), np.nan)


def _by_dimension(errors: Array) -> Array:
    """[groups] from [groups, ..., action size]: the mean of each number's mean."""
    flat = errors.reshape(len(errors), -1, errors.shape[-1])
    known = np.isfinite(flat)
    count = known.sum(axis=1)
    sums = np.where(known, flat, 0.0).sum(axis=1)
    means = np.where(count > 0, sums / np.maximum(count, 1), 0.0)
    numbers = (count > 0).sum(axis=1)
    return np.where(numbers > 0, means.sum(axis=1) / np.maximum(numbers, 1), np.nan)


def _spread(expert: Array) -> Array:
    """[action size] standard deviation of each number, raised to a share of the largest of its kind; 0 where none varies."""
    rows = expert.reshape(-1, expert.shape[-1])
    rows = rows[np.isfinite(rows).all(axis=1)]
    own = rows.std(axis=0)
    if len(own) < 7:
        return own
    floors = np.concatenate([np.full(3, own[:3].max()), np.full(3, own[3:6].max()), own[6:]]) * SMALLEST_SPREAD
    return np.where(own > 1e-6, np.maximum(own, floors), 0.0)
