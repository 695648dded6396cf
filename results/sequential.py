"""Stopping a run early without cheating: rules whose error rate holds however often one looks.

A rule looks at whole *rounds*: one initial state of every task, with all its seeds. Two things would cheat otherwise.
Episodes that succeed end sooner, so whatever has finished first is too good; rounds are therefore taken in planned order
and only when complete. And tasks differ, so the mean must not depend on which came first; at the end of a round every
task has come equally often.

Both rules are mixtures of test martingales, valid at every time by Ville's inequality (Ville 1939; Robbins, Ann. Math.
Stat. 41, 1970; Ramdas, Gruenwald, Vovk & Shafer, Statist. Sci. 38, 2023):

- The interval holds every rate p that a Beta(1/2, 1/2) mixture of likelihood ratios does not refute. That the tasks' rates
  differ from their mean p only lowers the expected ratio (the logarithm is concave), and so does averaging the seeds of
  an initial state (the exponential is convex).
- A > B bets on the paired differences D of each initial state, in [-1, 1]: the wealth, averaged over stakes s in (0, 1) of
  prod(1 + s D), grows on average only if A is better.

What is assumed: initial states are exchangeable within a task (their order is drawn by hash, not by index).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..envs.base import EpisodeSpec

LEVEL = 0.95
STAKES = np.arange(1, 32) / 32
"""Stakes that the bet on A > B is spread over, equally."""
Round = tuple[tuple[EpisodeSpec, ...], ...]
"""For each task, the episodes (seeds) of one initial state."""


def rounds(episodes: Iterable[EpisodeSpec]) -> list[Round]:
    """The planned episodes by rounds, in the order in which they are to be looked at (and best be played).

    Initial states that not every task has enough of are left out.
    """
    tasks: dict[tuple[str, int, str], dict[int, list[EpisodeSpec]]] = {}
    for spec in episodes:
        tasks.setdefault((spec.suite, spec.task_id, spec.variant), {}).setdefault(spec.init_state, []).append(spec)
    shuffled = [sorted(states.values(), key=_lot) for states in tasks.values()]
    return [tuple(map(tuple, one)) for one in zip(*shuffled, strict=False)]


def _lot(episodes: Sequence[EpisodeSpec]) -> str:
    """A lot drawn for the initial state: the same in every run, and unrelated to its index."""
    first = episodes[0]
    name = f"{first.suite}/{first.task_id}/{first.variant}/{first.init_state}#round"
    return hashlib.sha256(name.encode()).hexdigest()


def log_evidence(successes: float, n: float, rate: float) -> float:
    """Log of the evidence against a success rate: it exceeds log(1/alpha) with probability at most alpha if the rate is true."""
    mixture = _log_beta(successes + 0.5, n - successes + 0.5) - _log_beta(0.5, 0.5)
    return mixture - _times_log(successes, rate) - _times_log(n - successes, 1 - rate)


def interval(successes: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """The rates not refuted so far; contains the true one at all times at once with probability `level`."""
    if n == 0:
        return 0.0, 1.0
    mean, bar = successes / n, -math.log(1 - level)

    def edge(outside: float) -> float:
        inside = mean
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if log_evidence(successes, n, middle) >= bar else (middle, outside)
        return inside

    return (0.0 if successes == 0 else edge(0.0)), (1.0 if successes == n else edge(1.0))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _times_log(count: float, rate: float) -> float:
    if count == 0:
        return 0.0
    return count * math.log(rate) if rate > 0 else -math.inf


def log_wealth(differences: np.ndarray) -> np.ndarray:
    """Log of the wealth after each round of a bet on a positive mean difference, started with 1.

    Args:
        differences: [rounds, tasks] in [-1, 1], A's success minus B's.
    """
    gains = np.log1p(np.asarray(differences, float)[:, :, None] * STAKES).sum(axis=1).cumsum(axis=0)
    top = gains.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(gains - top).mean(axis=1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says."""

    stop: bool
    rounds: int
    """Whole rounds looked at."""
    episodes: int
    """Episodes played up to there, those of rounds with an error too."""
    planned: int
    saved: float
    """Share of the planned episodes that are not needed; 0 while the rule does not stop."""
    text: str
    """In words, with the number that decides."""
    low: float
    """Bounds, valid at every time, of the rate."""
    high: float


@dataclass(slots=True)
class Rule:
    """A parsed `--until`, fed with outcomes as they come: `stop = rule.update({key: success}).stop`.

    Outcomes may come in any order; a None (an episode that ended in an error) takes its round out.
    """

    condition: str
    """As typed."""
    plan: Sequence[Round]
    width: float | None = None
    """Stop when the interval is narrower than this; percentage points."""
    other: Mapping[str, bool | None] = field(default_factory=dict)
    """Outcomes of the run to beat, by scene (key without protocol)."""
    outcomes: dict[str, bool | None] = field(default_factory=dict)
    """By scene."""
    finished: int = 0
    """Rounds finished, counted from the first."""
    whole: list[Round] = field(default_factory=list)
    """Those of them without an error."""
    verdict: Verdict = field(default_factory=lambda: Verdict(False, 0, 0, 0, 0.0, "no whole round yet", 0.0, 1.0))
    """The last one."""

    def update(self, outcomes: Mapping[str, bool | None]) -> Verdict:
        """Take finished episodes in (key -> success) and look at all whole rounds from the first on."""
        self.outcomes.update({_scene(key): value for key, value in outcomes.items()})
        if self._advance():
            self.verdict = self._look()
        return self.verdict

    def _advance(self) -> bool:
        """Take in the rounds that have been finished since; whether there were any."""
        before = self.finished
        for one in self.plan[before:]:
            scenes = [spec.scene for seeds in one for spec in seeds]
            if any(scene not in self.outcomes for scene in scenes):
                break
            self.finished += 1
            compared = (self.outcomes,) if self.width is not None else (self.outcomes, self.other)
            if all(side.get(scene) is not None for side in compared for scene in scenes):
                self.whole.append(one)
        return self.finished > before

    def _look(self) -> Verdict:
        means = np.array([[self._mean(self.outcomes, seeds) for seeds in one] for one in self.whole])
        low, high = interval(float(means.sum()), means.size)
        stop, words = self._width(low, high) if self.width is not None else self._better(means)
        played = sum(len(seeds) for one in self.plan[: self.finished] for seeds in one)
        planned = sum(len(seeds) for one in self.plan for seeds in one)
        saved = 1 - played / planned if stop else 0.0
        return Verdict(stop, len(self.whole), played, planned, saved, f"{self.condition}: {words}", low, high)

    @staticmethod
    def _mean(outcomes: Mapping[str, bool | None], seeds: Sequence[EpisodeSpec]) -> float:
        return sum(bool(outcomes[spec.scene]) for spec in seeds) / len(seeds)

    def _width(self, low: float, high: float) -> tuple[bool, str]:
        assert self.width is not None
        width = 100 * (high - low)
        return width < self.width, f"interval {100 * low:.1f} to {100 * high:.1f}, {width:.1f} points wide"

    def _better(self, means: np.ndarray) -> tuple[bool, str]:
        if not self.whole:
            return False, "no whole round yet"
        others = np.array([[self._mean(self.other, seeds) for seeds in one] for one in self.whole])
        wealth = log_wealth(means - others)
        stop = bool(wealth.max() >= -math.log(1 - LEVEL))
        return stop, f"evidence {math.exp(min(wealth.max(), 50)):.3g} of the {1 / (1 - LEVEL):.0f} needed"


def _scene(key: str) -> str:
    return key.partition("@")[0]


def parse(condition: str) -> tuple[float | None, str | None]:
    """`width<2` -> (2.0, None); `A>runs/B` -> (None, "runs/B"), the run to beat. Raises ValueError with both forms.

    What stands before `>` only names this run for the reader.
    """
    text = condition.replace(" ", "")
    if found := re.fullmatch(r"width<(\d+(?:\.\d+)?)%?", text):
        width = float(found[1])
        if 0 < width <= 100:
            return width, None
    if (found := re.fullmatch(r"(?!width)[^<>]*>([^<>]+)", text)) is not None:
        return None, found[1]
    raise ValueError(
        f"{condition!r} is neither a width nor a rival; write for example `width<2` (percentage points) or `A>runs/B`"
    )


def make_rule(condition: str, episodes: Iterable[EpisodeSpec], other: Mapping[str, bool | None] | None = None) -> Rule:
    """The rule for a plan.

    Args:
        condition: as typed behind `--until`.
        episodes: the run's plan.
        other: for a rival, its outcomes by key.

    Raises ValueError for a condition that means nothing, and where the rival lacks scenes of the plan.
    """
    width, rival = parse(condition)
    plan = rounds(episodes)
    if rival is None:
        return Rule(condition, plan, width=width)
    known = {_scene(key): value for key, value in (other or {}).items()}
    missing = [spec.scene for one in plan for seeds in one for spec in seeds if spec.scene not in known]
    if missing:
        raise ValueError(
            f"--until {condition!r}: {rival} has not played {len(missing)} of the planned scenes, such as {missing[0]}"
        )
    return Rule(condition, plan, other=known)
