"""Error rate of `nora-bench compare --no-worse-than`: how often a policy that is worse by just the margin is called no worse.

`python tests/benchmarks/bench_comparisons.py [runs of each setting]`, 10,000 where not said.
"""

import sys

import numpy as np
from nora_bench.results.comparisons import noninferiority
from nora_bench.results.comparisons.noninferiority import counted, score
from nora_bench.results.statistics.paired_test import mean_difference

LIBERO = np.full(10, 50)
SIMPLER = np.array([25, 25, 25, 60, 9, 9, 9, 9, 9, 9])
"""Initial states of the parts of SimplerEnv's visual matching."""
SIMPLER_WEIGHTS = np.array([1 / 9] * 3 + [1 / 3] + [1 / 18] * 6)
SETTINGS = {
    # name: success rate of A, margin, states of each task, weights, seeds, share of states whose seeds are copies, of shared fate
    "50 states, 95 %": (0.95, 0.02, [50], None, 1, 0, 0),
    "130 states, 100 %": (1.0, 0.02, [130], None, 1, 0, 0),
    "150 states, 100 %": (1.0, 0.02, [150], None, 1, 0, 0),
    "10 x 50, 100 %": (1.0, 0.02, LIBERO, None, 1, 0, 0),
    "10 x 50, 98 %": (0.98, 0.02, LIBERO, None, 1, 0, 0),
    "10 x 50, 95 %, alike": (0.95, 0.02, LIBERO, None, 1, 0, 0.8),
    "10 x 50, 95 %, 3 seeds": (0.95, 0.02, LIBERO, None, 3, 0, 0),
    "10 x 50, 98 %, 3 seeds, mostly copies": (0.98, 0.02, LIBERO, None, 3, 0.7, 0),
    "10 x 50, 98 %, 3 seeds, copies": (0.98, 0.02, LIBERO, None, 3, 1, 0),
    "10 x 50, 80 %, margin 5": (0.8, 0.05, LIBERO, None, 1, 0, 0),
    "40 x 50, 95 %": (0.95, 0.02, np.full(40, 50), None, 1, 0, 0),
    "SimplerEnv, 90 %, margin 5": (0.9, 0.05, SIMPLER, SIMPLER_WEIGHTS, 1, 0, 0),
    "SimplerEnv, 99 %, margin 5": (0.99, 0.05, SIMPLER, SIMPLER_WEIGHTS, 1, 0, 0),
}


def outcomes(rng, runs, states, rate, seeds, copies, fate, alike):
    """[runs, states], success rates over seeds; `fate` are draws that both policies share in `alike` of the states."""
    one = (np.where(alike, fate, rng.random((runs, states))) < rate).astype(float)
    if seeds == 1:
        return one
    several = rng.binomial(seeds, rate, size=(runs, states)) / seeds
    return np.where(alike | (rng.random((runs, states)) < copies), one, several)


def called_no_worse(rng, runs, rate, margin, states, weights, seeds, copies, alike):
    """Share of runs in which B, worse by just the margin, is called no worse."""
    total = int(np.sum(states))
    fate, shared = rng.random((runs, total)), rng.random((runs, total)) < alike
    a, b = (outcomes(rng, runs, total, p, seeds, copies, fate, shared) for p in (rate, rate - margin))
    weights = np.full(len(states), 1 / len(states)) if weights is None else weights
    each = np.concatenate([np.full(n, weight / n) for n, weight in zip(states, weights, strict=True)])
    likely = score(counted(each, b - a), margin) >= noninferiority.QUANTILE
    edges = np.cumsum(states)[:-1]

    def low(values):
        tasks = list(zip(weights, np.split(values, edges), strict=True))
        return mean_difference(tasks, 1 - 2 * noninferiority.LEVEL)[1]

    return sum(low(values) > -margin for values in (b - a)[likely]) / runs


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(17)
    print(f"called no worse at a loss of just the margin, % of {runs} runs (nominal 5)")
    for name, setting in SETTINGS.items():
        print(
            f"{name:40} {100 * np.mean([called_no_worse(rng, 1000, *setting) for _ in range(max(1, runs // 1000))]):5.2f}",
            flush=True,
        )
        shares = [called_no_worse(rng, 1000, *setting) for _ in range(max(1, runs // 1000))]
        print(f"{name:40} {100 * np.mean(shares):5.2f}", flush=True)
