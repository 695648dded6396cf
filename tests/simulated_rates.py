"""Simulated outcomes of tasks, and how often the interval of their mean holds the truth. All runs at once, with numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from nora_bench.results.statistics.intervals import Sums, effective_sizes
from nora_bench.results.statistics.weighted_mean import limits


@dataclass(frozen=True)
class Setting:
    """Tasks with the rates that they really have, and what is played of them."""

    rates: Sequence[float]
    played: Sequence[tuple[int, int]]
    """(initial states, episodes of each) of each task."""
    alike: float = 0.0
    """Correlation of two episodes of one initial state."""
    weights: Sequence[float] | None = None
    """Of the tasks; None: equal."""
    states: int | None = None
    """Initial states of each task that the benchmark has, where the rate on those is asked for."""
    deterministic: bool = False

    @property
    def shares(self):
        """Weights [tasks] with sum 1."""
        weights = np.ones(len(self.rates)) if self.weights is None else np.array(self.weights, float)
        return weights / weights.sum()


def draw(setting: Setting, runs: int, rng: np.random.Generator):
    """Successes [runs, tasks, states], episodes [tasks, states] (0 where there is no such state), true means [runs]."""
    most = max(setting.states or 0, *(states for states, _ in setting.played))
    episodes = np.zeros((len(setting.rates), most), int)
    for task, (states, each) in enumerate(setting.played):
        episodes[task, :states] = each
    rates = np.broadcast_to(np.array(setting.rates, float)[:, None], (runs, *episodes.shape))
    of_state = _rates_of_states(rates, setting.alike, rng)
    truth = of_state.mean(2) if setting.states else rates.mean(2)
    return rng.binomial(episodes, of_state), episodes, truth @ setting.shares


def _rates_of_states(rates, alike: float, rng: np.random.Generator):
    if alike == 0:
        return rates
    if alike == 1:
        return (rng.random(rates.shape) < rates).astype(float)
    inside = np.clip(rates, 1e-6, 1 - 1e-6)
    drawn = rng.beta(inside * (1 / alike - 1), (1 - inside) * (1 / alike - 1))
    return np.where((rates == 0) | (rates == 1), rates, drawn)


def interval(setting: Setting, succeeded, episodes, level: float = 0.95):
    """Limits [runs] as `stratified` gives them."""
    there = np.maximum(episodes, 1)
    runs = len(succeeded)
    played, states, squares = (
        np.broadcast_to(a, (runs, len(a))) for a in (episodes.sum(1), (episodes > 0).sum(1), (episodes**2).sum(1))
    )
    sums = Sums(succeeded.sum(2), played, states, squares, (succeeded**2 / there).sum(2))
    seen = states[0] / setting.states if setting.states else np.zeros(len(setting.rates))
    sizes = effective_sizes(sums, seen, np.full(len(setting.rates), setting.deterministic))
    return limits(sums.succeeded / played, sizes, setting.shares, level)


def coverage(setting: Setting, runs: int, rng: np.random.Generator, method: Callable = interval) -> tuple[float, float]:
    """Share of runs whose interval holds the truth, and its mean width."""
    succeeded, episodes, truth = draw(setting, runs, rng)
    low, high = method(setting, succeeded, episodes)
    return float(np.mean((low - 1e-9 <= truth) & (truth <= high + 1e-9))), float(np.mean(high - low))
