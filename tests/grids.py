"""Plans of benchmarks by rounds, and simulated outcomes on them, many runs at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from nora_bench.envs import suites
from nora_bench.envs.base import EpisodeSpec
from nora_bench.results.comparisons.rounds import Group, Round, rounds
from nora_bench.results.comparisons.sequential import STAKES, Outcome

RATES = {"pick": 0.94, "move": 0.88, "open": 0.5, "close": 0.8}
"""Success rates by kind of SimplerEnv task: as far apart as published ones are."""


@dataclass(frozen=True)
class Grid:
    """A plan's entries in the order in which they are looked at."""

    plan: tuple[Round, ...]
    groups: tuple[Group, ...]
    """[entries]"""
    names: tuple[str, ...]
    """[entries] task name."""
    appearances: np.ndarray
    """[entries] episodes of each."""
    exponents: np.ndarray
    """[entries]"""
    ends: np.ndarray
    """[rounds] entries up to the end of each round."""

    @property
    def size(self) -> np.ndarray:
        """[rounds] sum of the exponents so far."""
        return self.exponents.cumsum()[self.ends - 1]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """[runs, rounds] sums so far of [runs, entries] values, each times its exponent."""
        return values @ (self.exponents[:, None] * (np.arange(len(self.appearances))[:, None] < self.ends))

    def rates(self) -> np.ndarray:
        """[entries] success rates: SimplerEnv's by kind, others from 0 to 1 by task."""
        tasks = sorted(set(self.groups))
        spread = dict(zip(tasks, np.linspace(0, 1, len(tasks)), strict=True))
        kinds = [name.partition("_")[0] for name in self.names]
        pairs = zip(kinds, self.groups, strict=True)
        return np.array([RATES.get(kind, spread[group]) for kind, group in pairs])

    def mean(self, values: np.ndarray) -> float:
        """The table's mean of what each entry has on average; [entries], equal within groups."""
        return float(self.exponents @ values / self.exponents.sum())


@cache
def grid(name: str) -> Grid:
    """A whole suite, or a group of suites."""
    tasks = {(suite, task.id): task for suite in suites.expand(name) for task in suites.get(suite).tasks}
    specs = [
        EpisodeSpec(suite, number, state, 0, "p", variant)
        for (suite, number), task in tasks.items()
        for variant in task.variants or ("",)
        for state in range(task.init_states)
    ]
    plan = rounds(specs, 7, {key: task.name for key, task in tasks.items()})
    entries = [entry for one in plan for entry in one]
    firsts = [entry.episodes[0] for entry in entries]
    return Grid(
        tuple(plan),
        tuple((spec.suite, spec.task_id, spec.variant.partition("/")[2]) for spec in firsts),
        tuple(tasks[spec.suite, spec.task_id].name for spec in firsts),
        np.array([len(entry.episodes) for entry in entries]),
        np.array([entry.exponent for entry in entries]),
        np.cumsum([len(one) for one in plan]),
    )


def draw(rates: np.ndarray, appearances: np.ndarray, alike: float, runs: int, rng: np.random.Generator) -> np.ndarray:
    """[runs, entries] means over the appearances of states sampled anew, whose appearances are alike (correlation 0 to 1)."""
    if alike == 0:
        return rng.binomial(appearances, rates, (runs, len(rates))) / appearances
    if alike == 1:
        return (rng.random((runs, len(rates))) < rates).astype(float)
    inside = np.clip(rates, 1e-9, 1 - 1e-9)
    own = rng.beta(inside * (1 / alike - 1), (1 - inside) * (1 / alike - 1), (runs, len(rates)))
    return rng.binomial(appearances, own) / appearances


def evidence(on: Grid, outcomes: np.ndarray, rate: float) -> np.ndarray:
    """[runs, rounds] log of the evidence against a rate; `sequential.log_evidence` for many runs."""
    from scipy.special import betaln, xlog1py, xlogy

    n = on.size
    k = np.minimum(on.sums(outcomes), n)
    return betaln(k + 0.5, n - k + 0.5) - betaln(0.5, 0.5) - xlogy(k, rate) - xlog1py(n - k, -rate)


def e_values(on: Grid, differences: np.ndarray) -> np.ndarray:
    """[runs, rounds] of the bet on a positive difference; `sequential.Bet` for many runs."""
    wealth = np.zeros((len(differences), len(on.ends)))
    for stake in STAKES:
        wealth += np.exp(on.sums(np.log1p(stake * differences)))
    return wealth / len(STAKES)


def spelled(on: Grid, means: np.ndarray) -> dict[str, Outcome]:
    """Outcomes by key of episodes whose states have these means; [entries], as drawn for one run."""
    succeeded = np.rint(means * on.appearances).astype(int)
    entries = (entry for one in on.plan for entry in one)
    return {
        spec.key: (1, 1) if number < k else (0, 0)
        for entry, k in zip(entries, succeeded, strict=True)
        for number, spec in enumerate(entry.episodes)
    }


def opposed(on: Grid) -> np.ndarray:
    """[entries] rates with a mean of one half, high on every second task: a rival with one minus them is as good in the mean."""
    tasks = sorted({group[:2] for group in on.groups})
    high = np.array([tasks.index(group[:2]) % 2 == 0 for group in on.groups])
    share = on.mean(high.astype(float))
    return np.where(high, 0.5 + 0.3 * min(1, (1 - share) / share), 0.5 - 0.3 * min(1, share / (1 - share)))
