"""What do perturbed images cost beside plain ones? Both sides in one process, in turn.

    python tests/benchmarks/bench_perturbations.py [--suite libero_goal] [--task 3] [--steps 8] [--rounds 2] [--size 256]

CPU milliseconds of an image: those of control steps with images less those of the same steps without. The exit code is 1 where
the mean over all axes and kinds costs more than 10 % beyond a plain image. The cost of a reset is printed beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.envs.paths import ensure_cache_home
from nora_bench.envs.perturbations import axes
from nora_bench.envs.perturbations.images import defects_of
from nora_bench.harness.rendering.backend import find_driver

LIMIT = 1.10


def loop(env: Any, spec: EpisodeSpec, observation_spec: ObservationSpec, steps: int, *, observe: bool) -> tuple[float, float]:
    """CPU seconds of the reset, and of the steps with what the harness does to their images."""
    protocol = protocols.get(spec.protocol)
    start = time.process_time()
    env.reset(spec, protocol, observation_spec)
    after_reset = time.process_time()
    defects = defects_of(spec)
    for step in range(1, steps + 1):
        env.step(np.array([0.2, 0.0, -0.2, 0.0, 0.0, 0.0, -1.0]), observe=observe)
        if observe and defects:
            defects.apply(env.observation(), step)
    return after_reset - start, time.process_time() - after_reset


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="libero_goal")
    parser.add_argument("--task", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    suite = suites.get(options.suite)
    pack = suite.resolve_assets("auto")
    env = suite.make_env(EnvOptions(pack.path, find_driver(suite).name, str(ensure_cache_home())))
    looks = [f"{name}2" for name in suite.perturbations if not axes.axes()[name].moves]
    names = ["", *looks, *(f"noise-{level}" for level in axes.axes()["noise"].levels if level.endswith("-2"))]
    control = EpisodeSpec(options.suite, options.task, 0, 0, suite.default_protocol)
    sees = ObservationSpec(cameras=suite.cameras, image_size=options.size)
    loop(env, control, sees, 1, observe=True)  # builds the task
    resets: dict[str, float] = defaultdict(float)
    images: dict[str, float] = defaultdict(float)
    for _ in range(options.rounds):
        for name in (*names, ""):  # plain ones first and last: a machine slows down
            spec = replace(control, perturbation=name)
            reset, observed = loop(env, spec, sees, options.steps, observe=True)
            _, blind = loop(env, spec, sees, options.steps, observe=False)
            times = options.rounds * (1 if name else 2)
            resets[name] += reset / times
            images[name] += (observed - blind) / (times * options.steps * len(suite.cameras))
    env.close()
    print(f"{'':18} image ms   ratio   reset ms")
    for name in names:
        print(f"{name or 'plain':18} {1e3 * images[name]:8.1f} {images[name] / images['']:7.2f} {1e3 * resets[name]:10.0f}")
    mean = float(np.mean([images[name] for name in names[1:]])) / images[""]
    print(f"mean of the perturbed images: {mean:.3f} of a plain one (limit {LIMIT})")
    return int(mean > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
