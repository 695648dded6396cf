"""How much faster than a plain SimplerEnv evaluation loop, with the same pictures? Both sides in one run.

    python tests/benchmarks/bench_simpler.py [--assets FOLDER] [--steps 80] [--rounds 1]

The plain loop is upstream's way on the same physics and the same driver: the environment is built anew for every
episode, reset twice, and a picture of the overlay camera and of the 128-pixel base camera is made at every step with
SAPIEN's default shaders. In its favour, the rendering context outlives the episode and its first picture, which costs a
lookup table (its time is printed apart), is not counted. Ours: the same episodes through `SapienEnv`, reset once more
before the clock starts. Each side runs in processes of its own, in turn; CPU seconds are compared, wall seconds printed
beside them. The physics of both sides is ours, 171 physics steps per control step.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

EPISODES = {
    "pick coke can, VM": ("simpler-vm", 0, "urdf_base/standing"),
    "pick coke can, VA": ("simpler-va", 0, "base/standing"),
    "open drawer, VM": ("simpler-vm", 2, "urdf_base/top"),
}
TARGETS = {5: 3.0, 1: 1.5}
"""Steps between two decisions -> times faster than the plain loop."""


def actions(steps: int) -> np.ndarray:
    """[steps, 7]: smooth random motion, the fingers now and then; the same for both sides."""
    rng = np.random.default_rng(0)
    knots = rng.normal(0, [0.02] * 3 + [0.1] * 3, (steps // 10 + 2, 6))
    at = np.arange(steps) / 10
    moves = np.stack([np.interp(at, np.arange(len(knots)), knots[:, k]) for k in range(6)], axis=1)
    return np.concatenate([moves, np.where(at[:, None] % 3 < 1.5, 0.0, 0.5)], axis=1)


class Stopwatch:
    """CPU and wall seconds of a block."""

    def __enter__(self) -> Stopwatch:
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu, self.wall = time.process_time() - self.cpu, time.perf_counter() - self.wall


def opened(options: argparse.Namespace, *, gl: str) -> Any:
    """A new world."""
    from nora_bench.envs.base import EnvOptions
    from nora_bench.envs.simpler.sim.env import SapienEnv

    return SapienEnv(EnvOptions(assets=options.assets, gl=gl, cache=tempfile.gettempdir()))


def begun(world: Any, name: str, *, looks: bool) -> None:
    """Reset the world to the benchmark's episode of that name."""
    from nora_bench.envs.base import EpisodeSpec, ObservationSpec
    from nora_bench.envs.protocols import get

    suite, task, variant = EPISODES[name]
    protocol = get("simpler/nora-1.5")
    world.reset(
        EpisodeSpec(suite, task, 0, 0, protocol.name, variant), protocol, ObservationSpec(cameras=("primary",) if looks else ())
    )


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """Upstream's way."""
    with Stopwatch() as first:
        kept = _Plain(options)  # keeps the rendering context alive
    with Stopwatch() as watch:
        run = _Plain(options)
        for move in actions(options.steps):
            run.world.step(move, observe=False)
            run.look()
    del kept
    return {"cpu": watch.cpu, "wall": watch.wall, "first": first.cpu}


class _Plain:
    """An environment as upstream builds it: two resets, each with a picture of both cameras."""

    def __init__(self, options: argparse.Namespace) -> None:
        from nora_bench.envs.simpler.sim.render import SimplerRenderer

        self.world = opened(options, gl="none")
        self.renderer = SimplerRenderer(Path(options.assets), options.gl, shaders="default")
        self.base = None
        for _ in range(2):
            self.world = opened(options, gl="none")  # settles anew
            begun(self.world, options.episode, looks=False)
            self.renderer.prepare(self.world.physics.setup)
            if self.base is None:
                self.base = self.renderer._loaded.visuals.scene.add_camera("base", 128, 128, 1.57, 0.01, 10.0)
            self.look()

    def look(self) -> None:
        """A picture of both cameras."""
        self.renderer.render(self.world.physics.scene)
        self.base.take_picture()
        for texture in ("Color", "Segmentation"):
            self.base.get_picture(texture)


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """Our world, for both intervals between decisions."""
    out: dict[str, Any] = {}
    world, moves = opened(options, gl=options.gl), actions(options.steps)
    with Stopwatch() as first:
        begun(world, options.episode, looks=True)
    for chunk in TARGETS:
        with Stopwatch() as reset:
            begun(world, options.episode, looks=True)
        with Stopwatch() as watch:
            for step, move in enumerate(moves, 1):
                world.step(move, observe=step % chunk == 0 and step < len(moves))
        spent = world.render_seconds()
        out[str(chunk)] = {"cpu": watch.cpu + reset.cpu, "wall": watch.wall + reset.wall, "render": spent, "reset": reset.cpu}
    return {**out, "first": first.cpu, "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


SIDES = {"plain": plain, "ours": ours}


def child(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """The answer of one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--assets", options.assets, "--gl", options.gl]
    command += ["--steps", str(options.steps), "--episode", options.episode]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def report(name: str, rounds: list[dict[str, Any]]) -> None:
    """Print ratios of medians."""

    def mid(side: str, *path: str) -> float:
        values = [turn[side] for turn in rounds]
        for key in path:
            values = [value[key] for value in values]
        return median(values)

    print(f"{name}: plain loop {mid('plain', 'cpu'):.1f} CPU s ({mid('plain', 'wall'):.1f} s)")
    print(
        f"  first picture of the process: plain {mid('plain', 'first'):.1f} CPU s (two resets), ours {mid('ours', 'first'):.1f}"
    )
    for chunk, target in TARGETS.items():
        cpu, wall = mid("ours", str(chunk), "cpu"), mid("ours", str(chunk), "wall")
        ratio = mid("plain", "cpu") / cpu
        print(f"  a decision every {chunk}: {cpu:.1f} CPU s ({wall:.1f} s), {ratio:.1f}x faster (target {target:g}x)")
    print(
        f"  reset with scene reuse: {mid('ours', '5', 'reset'):.2f} CPU s, picture included; memory {mid('ours', 'gib'):.2f} GiB"
    )


def main() -> None:
    """Run both sides in turn and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", default="")
    parser.add_argument("--gl", default="")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--episode", choices=[*EPISODES, ""], default="")
    parser.add_argument("--side", choices=SIDES)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](options)))
        return
    from nora_bench.envs.simpler.assets import packs
    from nora_bench.harness.rendering.vulkan import find_vulkan

    pack, driver = packs.resolve(options.assets or "auto"), find_vulkan()
    options.assets, options.gl = pack.path, driver.name
    print(f"assets {pack.name}, {driver.renderer}, {options.steps}-step episodes, {options.rounds} rounds")
    for name in [options.episode] if options.episode else EPISODES:
        options.episode = name
        report(name, [{side: child(side, options) for side in SIDES} for _ in range(options.rounds)])


if __name__ == "__main__":
    main()
