"""Valid early stopping: sequential rules whose error rate holds under any number of looks.

A rule evaluates complete rounds (`rounds`): initial states of every task, with all appearances and seeds. This avoids two biases.
Successful episodes end sooner, so the first finished ones are too good; rounds are therefore taken in planned order and only when
complete. And tasks differ, so the mean must not depend on their order; at the end of a round every task has had its share.

Both rules are mixtures of test martingales, valid at every time by Ville's inequality (Ville 1939; Robbins, Ann. Math.
Stat. 41, 1970; Ramdas, Gruenwald, Vovk & Shafer, Statist. Sci. 38, 2023). What the tasks' weights w (they sum to 1) need is
one step more. An entry with outcome x in [0, 1] gets the exponent c = k w / m, where m is the number of the task's entries in
the round and k is the same for all tasks, as large as it can be with all c <= 1:

- The interval holds every rate p that a Beta(1/2, 1/2) mixture, over q, of the ratios prod (f(x) / f_p(x))^c does not refute,
  where f(x) / f_p(x) = (q/p)^x ((1-q)/(1-p))^(1-x). It is convex in x, so its mean at a task of rate r is at most
  L(r) = r q/p + (1-r)(1-q)/(1-p); and E Y^c <= (E Y)^c for c <= 1. A round therefore multiplies by at most
  exp(k sum w log L(r)) <= L(sum w r)^k on average, since log L is concave, and L(p) = 1 at the weighted mean p. Nothing is
  assumed about how alike the appearances and seeds of an initial state are.
- A > B bets on the paired differences d of each entry, in [-1, 1]: the wealth, averaged over stakes s in (0, 1) of
  prod (1 + s d)^c. By the same two steps a round multiplies it by at most (1 + s sum w E d)^k on average, which is at most
  1 if A is not better. B > A is the same with -d. Each must reach 2/alpha, so that both claims together are wrong in at
  most alpha of runs.

An outcome that is not certain (an episode that ended in an error, or was lost by the policy before it succeeded) is a pair
(low, high): each claim takes the value that speaks against it, which can only lower its evidence. So does the futility
stop, which only ever ends a run without a claim.

Assumptions: initial states are exchangeable within a task's part (their order is sampled with the run's own seed), and those
of different parts and tasks are independent, as everywhere in these statistics.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..store.records import EpisodeRecord
from .rounds import Entry, Round

LEVEL = 0.95
STAKES = np.arange(1, 32) / 32
"""Stakes of the mixture, equally weighted."""
NEEDED = 2 / (1 - LEVEL)
"""E-value that the claims `better` and `worse` need."""
FUTILE = 0.01
"""Probability of a claim below which a comparison stops for futility."""
Outcome = tuple[int, int]
"""Lowest and highest possible success (0 or 1) of an episode; equal if it is certain."""


def reading(record: EpisodeRecord) -> Outcome:
    """The possible outcomes of an episode: both after an error, and for a success after the policy had lost the episode."""
    if record.success is None or (record.success and getattr(record, "policy_losses", 0)):
        return 0, 1
    return int(record.success), int(record.success)


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


@dataclass(slots=True)
class BettingProcess:
    """Betting process against a mean difference of at most zero, with initial wealth 1."""

    log_wealth: np.ndarray = field(default_factory=lambda: np.zeros(len(STAKES)))
    """Log wealth by stake."""
    size: float = 0.0
    """Sum of the exponents."""
    gain: float = 0.0
    """Sum of the differences, each times its exponent."""
    squares: float = 0.0
    """Sum of their squares, likewise."""

    def add(self, differences: np.ndarray, exponents: np.ndarray) -> None:
        """Add a round: [entries] differences in [-1, 1], and their exponents."""
        self.log_wealth = self.log_wealth + exponents @ np.log1p(differences[:, None] * STAKES)
        self.size += float(exponents.sum())
        self.gain += float(exponents @ differences)
        self.squares += float(exponents @ differences**2)

    @property
    def e_value(self) -> float:
        """The wealth over all stakes: at most 1 on average while the mean difference is not positive."""
        return float(np.exp(np.minimum(self.log_wealth, 700.0)).mean())

    def chance(self, left: float, needed: float = NEEDED) -> float:
        """Predictive probability that the e-value reaches `needed` after `left` more (sum of exponents).

        The future mean difference is taken for normal about the past one, with the variance of both (predictive power:
        Spiegelhalter, Freedman & Blackburn, Control. Clin. Trials 7, 1986). Differences count as -1, 0 or 1, and half
        of one is added to the squares, so that the first rounds are not treated as certain.
        """
        if left <= 0 or self.size <= 0:
            return float(self.e_value >= needed)
        variance = (self.squares + 0.5) / (self.size + 0.5)
        future = np.linspace(-1.0, 1.0, 201)
        moving = np.maximum(variance, np.abs(future))
        gained, lost = (moving + future) / 2, (moving - future) / 2
        grown = left * (gained[:, None] * np.log1p(STAKES) + lost[:, None] * np.log1p(-STAKES))
        reached = np.exp(np.minimum(self.log_wealth + grown, 700.0)).mean(axis=1) >= needed
        if not reached.any():
            return 0.0
        spread = math.sqrt(variance * (1 / self.size + 1 / left))
        return 0.5 * math.erfc((float(future[reached].min()) - self.gain / self.size) / spread / math.sqrt(2))


@dataclass(frozen=True, slots=True)
class Verdict:
    """State of a rule after the last complete round."""

    stop: bool
    rounds: int
    """Complete rounds evaluated."""
    episodes: int
    """Episodes of these."""
    planned: int
    saved: float
    """Share of the planned episodes that are not needed; 0 while the rule does not stop."""
    text: str
    """The verdict in words, with the deciding number."""
    low: float
    """Bounds, valid at every time, of the rate."""
    high: float
    reason: str = ""
    """Reason for stopping: `width`, `better`, `worse` or `futile`; else empty."""
    e_better: float = 1.0
    """Evidence (e-value) that this run is better than its rival; those of independent runs may be multiplied."""
    e_worse: float = 1.0
    log_wealth_better: tuple[float, ...] = ()
    """Log of the wealth of each stake in `STAKES`; sums over independent runs belong to one longer bet."""
    log_wealth_worse: tuple[float, ...] = ()


@dataclass(slots=True)
class Rule:
    """A parsed `--until`, fed with outcomes as they come: `stop = rule.update({key: (1, 1)}).stop`.

    Outcomes may arrive in any order; rounds are evaluated in order, each when complete, up to the first at which the rule stops.
    """

    condition: str
    """Condition as typed."""
    plan: Sequence[Round]
    width: float | None = None
    """Stop when the interval is narrower than this; percentage points. None compares."""
    other: Mapping[str, Outcome] = field(default_factory=dict)
    """Outcomes of the run to compare with, by key."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """Episode key -> outcome."""
    finished: int = 0
    """Rounds evaluated."""
    low: float = 0.0
    """Sum over entries, each times its exponent: successes at least,"""
    high: float = 0.0
    """and at most."""
    size: float = 0.0
    """Sum of the exponents."""
    better: BettingProcess = field(default_factory=BettingProcess)
    worse: BettingProcess = field(default_factory=BettingProcess)
    verdict: Verdict = field(default_factory=lambda: Verdict(False, 0, 0, 0, 0.0, "no complete round yet", 0.0, 1.0))
    """The last one."""

    def update(self, outcomes: Mapping[str, Outcome]) -> Verdict:
        """Add finished episodes (key -> outcome) and evaluate all rounds that are now complete."""
        self.outcomes.update(outcomes)
        while not self.verdict.stop and self.finished < len(self.plan) and self._complete(self.plan[self.finished]):
            self._take(self.plan[self.finished])
            self.finished += 1
            self.verdict = self._evaluate()
        return self.verdict

    def _complete(self, one: Round) -> bool:
        return all(spec.key in self.outcomes for entry in one for spec in entry.episodes)

    def _take(self, one: Round) -> None:
        exponents = np.array([entry.exponent for entry in one])
        low, high = _means(one, self.outcomes)
        self.low += float(exponents @ low)
        self.high += float(exponents @ high)
        self.size += float(exponents.sum())
        if self.width is None:
            other_low, other_high = _means(one, self.other)
            self.better.add(low - other_high, exponents)
            self.worse.add(other_low - high, exponents)

    def _evaluate(self) -> Verdict:
        low, high = interval(self.low, self.size)[0], interval(self.high, self.size)[1]
        reason, words = self._width(low, high) if self.width is not None else self._compare()
        evaluated, planned = _count(self.plan[: self.finished]), _count(self.plan)
        return Verdict(
            stop=bool(reason),
            rounds=self.finished,
            episodes=evaluated,
            planned=planned,
            saved=1 - evaluated / planned if reason else 0.0,
            text=f"{self.condition}: {words}",
            low=low,
            high=high,
            reason=reason,
            e_better=self.better.e_value,
            e_worse=self.worse.e_value,
            log_wealth_better=() if self.width is not None else tuple(self.better.log_wealth.tolist()),
            log_wealth_worse=() if self.width is not None else tuple(self.worse.log_wealth.tolist()),
        )

    def _width(self, low: float, high: float) -> tuple[str, str]:
        assert self.width is not None
        width = 100 * (high - low)
        return "width" if width < self.width else "", f"interval {100 * low:.1f} to {100 * high:.1f}, {width:.1f} points wide"

    def _compare(self) -> tuple[str, str]:
        """Reason to stop (empty: continue), and the evidence in words."""
        better, worse = self.better.e_value, self.worse.e_value
        for side, evidence in (("better", better), ("worse", worse)):
            if evidence >= NEEDED:
                return side, f"{side}, evidence {evidence:.3g} of the {NEEDED:.0f} needed"
        evidence = f"evidence {better:.3g} for better and {worse:.3g} for worse, of the {NEEDED:.0f} needed"
        left = sum(entry.exponent for one in self.plan[self.finished :] for entry in one)
        if left and self.better.chance(left) + self.worse.chance(left) < FUTILE:
            left_over = _count(self.plan[self.finished :])
            return "futile", f"no difference can be shown any more with the {left_over} episodes left ({evidence})"
        return "", evidence


def _means(one: Round, outcomes: Mapping[str, Outcome]) -> tuple[np.ndarray, np.ndarray]:
    """[entries] lowest and highest means over the episodes of each entry."""
    low, high = (np.array([_mean(entry, outcomes, side) for entry in one]) for side in (0, 1))
    return low, high


def _mean(entry: Entry, outcomes: Mapping[str, Outcome], side: int) -> float:
    return sum(outcomes[spec.key][side] for spec in entry.episodes) / len(entry.episodes)


def _count(plan: Iterable[Round]) -> int:
    """Episodes in these rounds."""
    return sum(len(entry.episodes) for one in plan for entry in one)


def parse(condition: str) -> tuple[float | None, str | None]:
    """`width<2` -> (2.0, None); `A>runs/B` -> (None, "runs/B"), the run to compare with. Raises ValueError for others.

    The name before `>` stands for this run and has no effect.
    """
    text = condition.replace(" ", "")
    if found := re.fullmatch(r"width<(\d+(?:\.\d+)?)%?", text):
        width = float(found[1])
        if 0 < width <= 100:
            return width, None
    if (found := re.fullmatch(r"(?!width)[^<>]*>([^<>]+)", text)) is not None:
        return None, found[1]
    raise ValueError(f"{condition!r} is not a stopping rule. Write `width<2` (percentage points) or `A>runs/B`")


def make_rule(condition: str, plan: Sequence[Round], other: Mapping[str, Outcome] | None = None) -> Rule:
    """The rule for a plan.

    Args:
        condition: as typed behind `--until`.
        plan: the run's plan by rounds.
        other: for a rival, its outcomes by key.

    Raises ValueError for an invalid condition, and if the rival lacks scenes of the plan.
    """
    width, rival = parse(condition)
    if rival is None:
        return Rule(condition, plan, width=width)
    known = dict(other or {})
    missing = [spec.key for one in plan for entry in one for spec in entry.episodes if spec.key not in known]
    if missing:
        raise ValueError(f"--until {condition!r}: {rival} lacks {len(missing)} of the planned scenes, such as {missing[0]}")
    return Rule(condition, plan, other=known)
