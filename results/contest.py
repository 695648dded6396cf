"""Runs against each other over whole suites: the paired comparison of two, the ranking of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from .compare import Difference, Pair, Task, difference, holm, pair
from .ranking import LEVEL, ranks
from .reading import Run
from .records import EpisodeRecord
from .stats import Estimate, Stratum, stratified

OVERALL = "all suites"


@dataclass(frozen=True, slots=True)
class Match:
    """Two runs on one suite, or on all that both played."""

    suite: str
    a: Estimate
    """Rate of the first run on the scenes that both played."""
    b: Estimate
    difference: Difference
    p_holm: float
    """Corrected for the number of suites; the overall match is one question and is not corrected."""
    flipped: tuple[Pair, ...]
    """Scenes that ended differently."""

    @property
    def verdict(self) -> str:
        """In words."""
        if self.p_holm > LEVEL:
            return "no difference shown"
        return "B is better" if self.difference.mean > 0 else "A is better"


def compare(a: Run, b: Run) -> list[Match]:
    """One match per suite that both played, and one over all of them; tasks weigh equally, and so do suites.

    Empty where no scene was played by both.
    """
    by_suite: dict[str, list[Pair]] = {}
    for one in pair(a.records, b.records):
        by_suite.setdefault(one.a.suite, []).append(one)
    if not by_suite:
        return []
    matches = [_match(suite, pairs) for suite, pairs in by_suite.items()]
    corrected = holm([match.p_holm for match in matches])
    matches = [replace(match, p_holm=p) for match, p in zip(matches, corrected, strict=True)]
    if len(matches) > 1:
        matches.append(_match(OVERALL, [one for pairs in by_suite.values() for one in pairs]))
    return matches


def _match(suite: str, pairs: Sequence[Pair]) -> Match:
    weights = _weights(one.task for one in pairs)
    found = difference(pairs, weights)
    flipped = tuple(one for one in pairs if one.difference)
    a = _estimate(((one.task, one.a) for one in pairs), weights)
    b = _estimate(((one.task, one.b) for one in pairs), weights)
    return Match(suite, a, b, found, found.p, flipped)


def _weights(tasks: Iterable[Task]) -> dict[Task, float]:
    """Share of each task: suites weigh equally, and so do the tasks of a suite and the parts of a task."""
    known = dict.fromkeys(tasks)
    parts = Counter((suite, name) for suite, name, _ in known)
    suites = Counter(suite for suite, _ in parts)
    return {task: 1 / suites[task[0]] / parts[task[:2]] for task in known}


def _estimate(records: Iterable[tuple[Task, EpisodeRecord]], weights: Mapping[Task, float]) -> Estimate:
    found: dict[Task, dict[int, list[int]]] = {task: {} for task in weights}
    for task, record in records:
        states = found[task]
        cell = states.get(record.init_state) or states.setdefault(record.init_state, [0, 0])
        cell[0] += record.success is True
        cell[1] += 1
    estimate = stratified([Stratum(weights[task], [(k, n) for k, n in own.values()]) for task, own in found.items()])
    assert estimate is not None  # a match has pairs
    return estimate


@dataclass(frozen=True, slots=True)
class Standing:
    """One policy's place among several."""

    run: Run
    rate: Estimate
    rank: int
    """1 + the number of policies that are significantly better; equal ranks cannot be told apart."""


def rank(runs: Sequence[Run]) -> tuple[list[Standing], list[list[float]]]:
    """Standings over the scenes that all runs played, best first, and p-values [runs, runs] in the order given.

    P-values are corrected over all pairs of runs (Holm). Raises ValueError where no scene was played by all.
    """
    shared = _shared(runs)
    weights = _weights(_task(record) for record in shared[0])
    sides = list(combinations(range(len(runs)), 2))
    found = [difference(pair(shared[i], shared[j]), weights) for i, j in sides]
    corrected = holm([one.p for one in found])
    p_values = [[1.0] * len(runs) for _ in runs]
    better = np.zeros((len(runs), len(runs)), bool)
    for (i, j), one, p in zip(sides, found, corrected, strict=True):
        p_values[i][j] = p_values[j][i] = p
        better[i, j], better[j, i] = p <= LEVEL and one.mean < 0, p <= LEVEL and one.mean > 0
    places = ranks(better)
    rates = [_estimate(((_task(record), record) for record in own), weights) for own in shared]
    standings = [Standing(run, rate, place) for run, rate, place in zip(runs, rates, places, strict=True)]
    return sorted(standings, key=lambda s: (s.rank, -s.rate.mean)), p_values


def _task(record: EpisodeRecord) -> Task:
    return record.suite, record.task, record.part


def _shared(runs: Sequence[Run]) -> list[list[EpisodeRecord]]:
    """Each run's episodes on the scenes that all of them finished without error."""
    scenes = [{r.key.partition("@")[0] for r in run.records if r.success is not None} for run in runs]
    common = set.intersection(*scenes)
    if not common:
        names = ", ".join(run.name for run in runs)
        raise ValueError(f"{names} have no scene in common: run them with the same --suite, --tasks, --init-states and --seeds")
    return [[r for r in run.records if r.success is not None and r.key.partition("@")[0] in common] for run in runs]


def match_table(layout, a, b, *, anyway=False):  # replaced by the comparisons branch
    return {}, []
