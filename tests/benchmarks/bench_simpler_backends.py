"""CPU seconds of an episode of SimplerEnv on the backends sapien2 and sapien3, images included.

    python tests/benchmarks/bench_simpler_backends.py [--assets FOLDER] [--steps 80] [--every 5] [--episodes 2] [--no-images]

Each measurement is a process of its own that runs one episode more or less than another, so that starting, loading and the
first image are not counted; the CPU time of SAPIEN 2's process and its forks is. Both backends execute the same actions and
render at every decision.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import numpy as np

EPISODES = {
    "pick coke can": ("simpler-vm", 0, "urdf_base/standing"),
    "move near": ("simpler-vm", 1, "urdf_base"),
    "open drawer": ("simpler-vm", 2, "urdf_base/top"),
}
TARGET = 1.5
"""Most CPU of sapien2, in that of sapien3."""


def actions(steps: int) -> np.ndarray:
    """[steps, 7]: smooth random motion, the fingers now and then."""
    rng = np.random.default_rng(0)
    knots = rng.normal(0, [0.02] * 3 + [0.1] * 3, (steps // 10 + 2, 6))
    at = np.arange(steps) / 10
    moves = np.stack([np.interp(at, np.arange(len(knots)), knots[:, k]) for k in range(6)], axis=1)
    return np.concatenate([moves, np.where(at[:, None] % 3 < 1.5, 0.0, 0.5)], axis=1)


def run(options: argparse.Namespace, backend: str, name: str, episodes: int) -> None:
    """Run so many episodes in this process."""
    from nora_bench.envs import suites
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.paths import cache_home
    from nora_bench.envs.protocols import get
    from nora_bench.harness.rendering.backend import find_driver

    suite_name, task, variant = EPISODES[name]
    suite, protocol = suites.get(suite_name), get("simpler/nora-1.5")
    gl = find_driver(suite).name if options.images else "none"
    pack = suite.resolve_assets(options.assets)
    env = suite.make_env(EnvOptions(pack.path, gl, str(cache_home()), backend))
    observation_spec = ObservationSpec(cameras=("primary",) if options.images else ())
    for number in range(episodes):
        env.reset(EpisodeSpec(suite_name, task, number, 0, protocol.name, variant), protocol, observation_spec)
        for step, action in enumerate(actions(options.steps)):
            env.step(action, observe=step % options.every == options.every - 1)
    env.close()


def cpu_seconds(backend: str, name: str, episodes: int) -> float:
    """CPU seconds of a new process that runs so many episodes, and of all processes under it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *sys.argv, "--one", f"{backend},{name},{episodes}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line per task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", default="auto")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=2)
    parser.add_argument("--tasks", default=",".join(EPISODES))
    parser.add_argument("--images", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        backend, name, episodes = options.one.split(",")
        run(options, backend, name, int(episodes))
        return
    print(f"CPU seconds of an episode of {options.steps} steps, a decision every {options.every}; target {TARGET}x")
    for name in options.tasks.split(","):
        spent = {}
        for backend in ("sapien3", "sapien2"):
            one, more = (cpu_seconds(backend, name, count) for count in (1, 1 + options.episodes))
            spent[backend] = (more - one) / options.episodes
        ratio = spent["sapien2"] / spent["sapien3"]
        print(f"{name:14} sapien3 {spent['sapien3']:.2f} s, sapien2 {spent['sapien2']:.2f} s, {ratio:.2f}x", flush=True)


if __name__ == "__main__":
    main()
