"""Error rates of `nora-bench compare` for runs without a common initial state (`results.statistics.unpaired_test`).

`python tests/benchmarks/bench_unpaired.py [runs of each setting] [settings...]`, 300 and all where not said: share of runs with
a truly equal policy in which a difference is declared (nominal at most 5 %), share of intervals that contain the true difference
(at least 95 %), and power for a loss of ten points.
"""

import sys

import numpy as np
from nora_bench.results.statistics.intervals import Stratum
from nora_bench.results.statistics.unpaired_test import unpaired_difference

APART = (1, 1, 1, 0.97, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2)
SETTINGS = {
    # name: rates of the tasks, states of A and B in each, seeds of A and B, share of states of A and B whose seeds are copies
    "10 tasks of 95 %, 50 and 50 states": ((0.95,) * 10, (50, 50), (1, 1), (0.0, 0.0)),
    "10 tasks of 95 %, 10 and 10 states": ((0.95,) * 10, (10, 10), (1, 1), (0.0, 0.0)),
    "10 tasks apart, 50 and 31 states": (APART, (50, 31), (1, 1), (0.0, 0.0)),
    "10 tasks apart, 10 and 10 states": (APART, (10, 10), (1, 1), (0.0, 0.0)),
    "10 tasks apart, 3 seeds, mostly copies": (APART, (20, 20), (3, 3), (0.7, 0.7)),
    "10 tasks of 95 %, one seed against three": ((0.95,) * 10, (20, 20), (1, 3), (0.0, 0.0)),
    "1 task of 80 %, 50 and 50 states": ((0.8,), (50, 50), (1, 1), (0.0, 0.0)),
    "10 tasks apart, 50 and 5 states": (APART, (50, 5), (1, 1), (0.0, 0.0)),
    "3 tasks of 80 %, 50 x 3 against 10 x 3 copies": ((0.8,) * 3, (50, 10), (3, 3), (0.0, 1.0)),
}


def stratum(rng, rate, states, seeds, copies):
    """Outcomes of one task."""
    fixed = (rng.random(states) < rate).astype(float)
    rates = np.where(rng.random(states) < copies, fixed, rate)
    return Stratum(1.0, [(int(k), seeds) for k in rng.binomial(seeds, rates)])


def compared(rng, rates, states, seeds, copies, loss):
    """One comparison in which B is worse by `loss` in every task (as far as its rate allows), and the true difference."""
    of_b = [max(rate - loss, 0.0) for rate in rates]
    tasks = [
        (stratum(rng, a, states[0], seeds[0], copies[0]), stratum(rng, b, states[1], seeds[1], copies[1]))
        for a, b in zip(rates, of_b, strict=True)
    ]
    return unpaired_difference(tasks), np.mean(of_b) - np.mean(rates)


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"{'% of ' + str(runs) + ' runs':46} declared  contained  power (-10)")
    for name, setting in SETTINGS.items():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        rng = np.random.default_rng(17)
        equal = [compared(rng, *setting, 0.0) for _ in range(runs)]
        worse = [compared(rng, *setting, 0.1) for _ in range(runs)]
        declared = np.mean([found.p <= 0.05 for found, _ in equal])
        contained = np.mean([found.low - 1e-9 <= truth <= found.high + 1e-9 for found, truth in (*equal, *worse)])
        power = np.mean([found.p <= 0.05 for found, _ in worse])
        print(f"{name:46} {100 * declared:8.1f} {100 * contained:10.1f} {100 * power:10.1f}", flush=True)
