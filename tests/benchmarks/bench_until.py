"""How often `--until` is wrong, and what it saves: simulated runs of whole benchmarks.

    python tests/benchmarks/bench_until.py
    python tests/benchmarks/bench_until.py --runs 300 --grids simpler-va

Per benchmark and likeness of the looks of an initial state (0 independent, 1 the same): runs in which the interval loses the
true rate at any look; in which equal policies are told apart, equal on every task or in the mean alone, and where one loses
30 % of its failures; each at most 5 of 100. Then, for real differences, what is said and what is saved. Initial states are
drawn anew in each run; SimplerEnv's looks have beta-distributed rates around their state's.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from grids import Grid, draw, e_values, evidence, grid, opposed, spelled
from nora_bench.results.comparisons.sequential import NEEDED, make_rule

BLOCK = 100
"""Runs simulated at once; the number of runs is rounded up to a multiple of it."""
GRIDS = ("libero_object", "libero", "simpler-vm", "simpler-va")


def lost(on: Grid, rates: np.ndarray, alike: float, runs: int, rng: np.random.Generator) -> float:
    """Percentage of runs whose interval loses the true rate at any round."""
    found = evidence(on, draw(rates, on.appearances, alike, runs, rng), on.mean(rates))
    return 100 * float(np.mean((found >= np.log(20)).any(axis=1)))


def told_apart(
    on: Grid, pair: tuple[np.ndarray, np.ndarray], alike: float, losing: float, runs: int, rng: np.random.Generator
) -> float:
    """Percentage of runs in which policies of these rates are told apart; A loses that share of its failures."""
    wrong = 0
    for _ in range(0, runs, BLOCK):
        a, b = (draw(rates, on.appearances, alike, BLOCK, rng) for rates in pair)
        high = a + rng.binomial(np.rint((1 - a) * on.appearances).astype(int), losing) / on.appearances
        better, worse = e_values(on, a - b), e_values(on, b - high)
        wrong += int((np.maximum(better, worse) >= NEEDED).any(axis=1).sum())
    return 100 * wrong / (BLOCK * math.ceil(runs / BLOCK))


def listed(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def compared(on: Grid, a: float, b: float, alike: float, runs: int, rng: np.random.Generator) -> str:
    """What comparisons of policies of these rates come to."""
    said: Counter[str] = Counter()
    saved, claimed = [], 0
    for _ in range(runs):
        mine, other = (draw(np.full(len(on.appearances), rate), on.appearances, alike, 1, rng) for rate in (a, b))
        verdict = make_rule("A>B", on.plan, spelled(on, other[0])).update(spelled(on, mine[0]))
        said[verdict.reason or "open"] += 1
        saved.append(verdict.saved)
        claimed += bool(max(e_values(on, mine - other).max(), e_values(on, other - mine).max()) >= NEEDED)
    shares = ", ".join(f"{name} {100 * said[name] / runs:.0f} %" for name in ("better", "worse", "futile", "open"))
    return f"{shares} (claims if never given up: {100 * claimed / runs:.0f} %); saved {100 * np.mean(saved):.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--compared", type=int, default=60, help="runs for what is saved")
    parser.add_argument("--grids", nargs="*", default=GRIDS)
    args = parser.parse_args()
    for suite in args.grids:
        on, rng = grid(suite), np.random.default_rng(29)
        apart, alike_tasks, high = on.rates(), np.full(len(on.appearances), 0.9), np.full(len(on.appearances), 0.99)
        print(f"## {suite}: {len(on.plan)} rounds, {len(on.appearances)} states, exponents sum to {on.size[-1]:.0f}")
        for alike in (0.0, 0.5, 0.9, 1.0) if on.appearances.max() > 1 else (0.0,):
            intervals = [lost(on, rates, alike, args.runs, rng) for rates in (apart, alike_tasks, high)]
            pairs = (
                (apart, apart, 0.0),
                (alike_tasks, alike_tasks, 0.0),
                (opposed(on), 1 - opposed(on), 0.0),
                (apart, apart, 0.3),
            )
            claims = [told_apart(on, (a, b), alike, losing, args.runs, rng) for a, b, losing in pairs]
            print(f"looks alike {alike:.1f}: interval lost {listed(intervals)} % (tasks apart, 90 %, 99 %);", end=" ")
            print(f"told apart {listed(claims)} % (tasks apart, 90 %, opposed, losing failures)", flush=True)
        for a, b in ((0.9, 0.9), (0.92, 0.9), (0.94, 0.9), (0.98, 0.9), (0.8, 0.9)):
            print(f"{a:.0%} against {b:.0%}, looks alike 0.9: {compared(on, a, b, 0.9, args.compared, rng)}", flush=True)


if __name__ == "__main__":
    main()
