"""Coverage and width of the 95 % interval of a rate, setting by setting. Run: `python tests/benchmarks/bench_intervals.py`.

Beside the interval of tables: Wilson's of all episodes pooled; Clopper and Pearson's at an effective sample size of p(1-p)
over the variance (Korn & Graubard 1998, tasks' rates drawn half an episode to the middle); Student's over tasks.
Widths in points. Exit 1 where the interval of tables covers less than 94 % beyond three standard errors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from simulated_rates import Setting, coverage, interval

NANO = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.95, 0.3, 0.0)
MIXED = (0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.88, 0.8, 0.6)
APART = (1, 1, 1, 1, 1, 0.97, 0.9, 0.8, 0.5, 0)
PACKS = {"all .95": (0.95,) * 10, "all .998": (0.998,) * 10, "all .5": (0.5,) * 10, "mixed": MIXED, "apart": APART, "nano": NANO}
VARIANTS = {"played": [(25, 9)] * 3 + [(60, 8)] + [(9, 7)] * 6, "weights": [1 / 9] * 3 + [1 / 3] + [1 / 18] * 6}


def settings() -> dict[str, Setting]:
    """By name."""
    found: dict[str, Setting] = {}
    for name, rates in PACKS.items():
        found[f"10 tasks, 50 states: {name}"] = Setting(rates, [(50, 1)] * 10)
        for alike in (0.0, 0.4, 0.8, 1.0):
            found[f"50 states, 3 seeds, alike {alike}: {name}"] = Setting(rates, [(50, 3)] * 10, alike)
        found[f"50 states, two tasks cut to 3 and 1: {name}"] = Setting(rates, [(50, 1)] * 8 + [(3, 1), (1, 1)])
        found[f"five tasks cut to 10 states: {name}"] = Setting(rates, [(50, 1)] * 5 + [(10, 1)] * 5)
        found[f"3 seeds, five tasks cut to 5 states, alike .3: {name}"] = Setting(rates, [(50, 3)] * 5 + [(5, 3)] * 5, 0.3)
        for alike in (0.3, 1.0):
            found[f"one task of one state 20 times, alike {alike}: {name}"] = Setting(rates, [(50, 1)] * 9 + [(1, 20)], alike)
            found[f"robot: 5 tasks 10 starts, 5 one start x 10, alike {alike}: {name}"] = Setting(
                rates, [(10, 1)] * 5 + [(1, 10)] * 5, alike
            )
        found[f"1 state each: {name}"] = Setting(rates, [(1, 1)] * 10)
        found[f"3 states each: {name}"] = Setting(rates, [(3, 1)] * 10)
        found[f"5 states, 3 seeds, alike .6: {name}"] = Setting(rates, [(5, 3)] * 10, 0.6)
    found["five tasks at 0, five at 1"] = Setting((0,) * 5 + (1,) * 5, [(50, 1)] * 10)
    found["nine tasks at 1, one at .5, of one state"] = Setting((1,) * 9 + (0.5,), [(50, 1)] * 9 + [(1, 1)])
    found["40 tasks, 50 states"] = Setting(MIXED + NANO + APART + PACKS["all .5"], [(50, 1)] * 40)
    found["40 tasks, 3 states"] = Setting(MIXED + NANO + APART + PACKS["all .5"], [(3, 1)] * 40)
    for rate in (0.5, 0.9, 0.99):
        for states, seeds, alike in ((50, 1, 0.0), (10, 1, 0.0), (50, 3, 0.5), (10, 3, 0.5), (12, 5, 0.2)):
            name = f"one task at {rate}: {states} states, {seeds} seeds, alike {alike}"
            found[name] = Setting([rate], [(states, seeds)], alike)
    for alike in (0.0, 0.5, 1.0):
        rates = [0.94] * 3 + [0.88] + [0.66] * 6
        found[f"SimplerEnv variants, alike {alike}"] = Setting(rates, VARIANTS["played"], alike, VARIANTS["weights"])
        found[f"SimplerEnv six drawers apart, alike {alike}"] = Setting((0.95, 0.9, 0.8, 0.5, 0.2, 0), [(9, 4)] * 6, alike)
    for played, alike in (((50, 1), 0.0), ((50, 1), 0.7), ((50, 3), 0.0), ((50, 3), 0.5), ((50, 3), 0.9), ((25, 3), 0.5)):
        for name in ("all .95", "mixed", "nano"):
            found[f"benchmark of 50, {played[0]} states, {played[1]} seeds, alike {alike}: {name}"] = Setting(
                PACKS[name], [played] * 10, alike, states=50
            )
    for states in (25, 45):
        found[f"benchmark of 50, {states} states, deterministic"] = Setting(MIXED, [(states, 1)] * 10, 1.0, None, 50, True)
    return found


def wilson_pooled(setting: Setting, won, episodes):
    """Of all episodes, as if each were drawn alone."""
    k, n, z2 = won.sum((1, 2)), episodes.sum(), 1.96**2
    arm = np.sqrt(z2 * (k * (n - k) / n + z2 / 4))
    return (k + z2 / 2 - arm) / (n + z2), (k + z2 / 2 + arm) / (n + z2)


def effective(setting: Setting, won, episodes):
    """Clopper and Pearson's at p(1-p) over the variance, the episodes of a state taken for copies."""
    from nora_bench.results.statistics.weighted_mean import limits

    states = (episodes > 0).sum(1)
    rates = won.sum(2) / episodes.sum(1)
    drawn = (rates * states + 0.5) / (states + 1)
    variance = (setting.shares**2 * drawn * (1 - drawn) / states).sum(1)
    mean = np.clip(rates @ setting.shares, 0, 1)
    pooled = 1 / (setting.shares**2 / states).sum()
    inside = (mean > 0) & (mean < 1)
    size = np.where(inside, np.where(inside, mean * (1 - mean), 1) / variance, pooled)
    low, high = limits(mean[:, None], size[:, None], np.ones(1), 0.95)
    return np.minimum(low, mean), np.maximum(high, mean)


def student(setting: Setting, won, episodes):
    """Over tasks, as papers often have it; none for a single task."""
    from scipy.stats import t

    rates, tasks = won.sum(2) / episodes.sum(1), len(setting.rates)
    arm = t.ppf(0.975, tasks - 1) * rates.std(1, ddof=1) / np.sqrt(tasks) if tasks > 1 else np.full(len(rates), np.nan)
    return np.maximum(rates.mean(1) - arm, 0), np.minimum(rates.mean(1) + arm, 1)


METHODS = {"tables": interval, "pooled Wilson": wilson_pooled, "effective n": effective, "t over tasks": student}


def main() -> None:
    """Print a line per setting."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="settings whose name holds this")
    given = options.parse_args()
    np.seterr(all="ignore")
    print(f"{'coverage, width':76}" + "".join(f"{name:>16}" for name in METHODS))
    worst, short, limit = 1.0, 0, 0.94 - 3 * (0.94 * 0.06 / given.runs) ** 0.5
    chosen = {name: setting for name, setting in settings().items() if given.only in name}
    for number, (name, setting) in enumerate(chosen.items()):
        rows = [coverage(setting, given.runs, np.random.default_rng([given.seed, number]), method) for method in METHODS.values()]
        print(f"{name:76}" + "".join(f"{100 * held:9.1f} {100 * width:6.2f}" for held, width in rows), flush=True)
        worst, short = min(worst, rows[0][0]), short + (rows[0][0] < limit)
    print(f"{len(chosen)} settings, {given.runs} runs each: the interval of tables covers at least {100 * worst:.1f} %")
    sys.exit(short > 0)


if __name__ == "__main__":
    main()
