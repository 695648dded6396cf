"""Milliseconds per decision of the package's nano model on torch and on ONNX Runtime, one thread each, in one run.

    python tests/benchmarks/bench_nano_engines.py              # --rounds 50; `taskset -c 0` keeps both on one core

A decision is the whole of the policy's `act` for one observation: image, tokens, model, un-normalised actions. Rounds alternate
between the sides, so that other programs on the machine hit both. Printed: medians of CPU
time, the largest difference of actions.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.policies.base import Observation, Policy, PolicyContext
from nora_bench.policies.registry import load

SUITE = "libero_object"


def observation(task: int) -> Observation:
    """The first decision of a task, over a smooth image."""
    rows, columns = np.mgrid[0:256, 0:256]
    image = np.stack([rows, columns, (rows + columns) // 2], axis=2).astype(np.uint8)
    spec = EpisodeSpec(SUITE, task, 0, 0, "libero/openvla")
    return Observation(spec, 0, 0, suites.get(SUITE).tasks[task].instruction, EnvObservation({"primary": image}))


def opened(engine: str) -> Policy:
    policy = load("nora-1.5-nano", {"engine": engine, "threads": "1"})
    policy.setup(PolicyContext(protocols.get("libero/openvla"), (SUITE,), 7))
    return policy


def main() -> None:
    parser = argparse.ArgumentParser(description="Nano model: torch beside ONNX Runtime.")
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    sides = {engine: opened(engine) for engine in ("torch", "onnx")}
    seen = [observation(task) for task in range(4)]
    actions = {engine: np.concatenate([chunk.actions for chunk in policy.act(seen)]) for engine, policy in sides.items()}
    spent: dict[str, list[float]] = {engine: [] for engine in sides}
    for number in range(rounds):
        for engine, policy in sides.items():
            start = time.process_time()
            policy.act([seen[number % len(seen)]])
            spent[engine].append(1e3 * (time.process_time() - start))
    medians = {engine: statistics.median(times) for engine, times in spent.items()}
    for engine, median in medians.items():
        print(f"{engine:6} {median:7.1f} ms per decision, fastest {min(spent[engine]):.1f}")
    print(f"torch / onnx {medians['torch'] / medians['onnx']:.2f}")
    print(f"largest difference of actions {np.abs(actions['torch'] - actions['onnx']).max():.1e}")


if __name__ == "__main__":
    main()
