"""How much faster than a plain LIBERO evaluation loop, at equal results? Both sides in one run.

    python tests/benchmarks/bench_libero.py [--assets FOLDER] [--suite libero_goal] [--task 3] [--rounds 2]

The plain loop is what the field writes: one environment per task, a hard `reset()` and `set_init_state` per episode,
ten settling steps, both cameras drawn at 256 px at every step. Ours: the same episodes through `LiberoEnv`. Each
side runs in processes of its own, in turn; CPU seconds of an episode of 100 steps, reset and settling included, are
compared, and wall seconds printed beside them. The floor is 25 raw `mj_step` per control step plus the pictures that
are due. Peak memory is that of a process with both cameras.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STEPS, EPISODES, SETTLE = 100, 2, 10
LOOKS = {"agent view": ("primary",), "both cameras": ("primary", "wrist")}
TARGETS = {("agent view", 5): 7.0, ("agent view", 1): 1.9, ("both cameras", 5): 5.0, ("both cameras", 1): 1.2}


def actions() -> Any:
    """[STEPS, 7]: smooth random motion, the gripper opening and closing; the same for both sides."""
    import numpy as np

    rng = np.random.default_rng(0)
    knots = rng.uniform(-1, 1, (STEPS // 10 + 2, 6)) * [0.6, 0.6, 0.6, 0.3, 0.3, 0.3]
    at = np.arange(STEPS) / 10
    moves = np.stack([np.interp(at, np.arange(len(knots)), knots[:, k]) for k in range(6)], axis=1)
    return np.concatenate([moves, np.where(at[:, None] % 3 < 1.5, -1.0, 1.0)], axis=1)


class Stopwatch:
    """CPU and wall seconds of a block."""

    def __enter__(self) -> Stopwatch:
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu, self.wall = time.process_time() - self.cpu, time.perf_counter() - self.wall


def peak_gib() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """The field's loop."""
    env, states = _plain_env(options, pictures=True)
    moves = actions()
    with Stopwatch() as watch:
        for episode in range(EPISODES):
            env.seed(0)
            env.reset()
            env.set_init_state(states[episode])
            for _ in range(SETTLE):
                env.step([0.0] * 6 + [-1.0])
            for move in moves:
                seen, *_ = env.step(move)
                _ = [seen[name][::-1, ::-1] for name in ("agentview_image", "robot0_eye_in_hand_image")]
    return {"cpu": watch.cpu / EPISODES, "wall": watch.wall / EPISODES, "gib": peak_gib()}


def plain_step(options: argparse.Namespace) -> dict[str, Any]:
    """robosuite's control step without pictures."""
    env, states = _plain_env(options, pictures=False)
    env.seed(0)
    env.reset()
    env.set_init_state(states[0])
    for _ in range(SETTLE):
        env.step([0.0] * 6 + [-1.0])
    with Stopwatch() as watch:
        for move in actions():
            env.step(move)
    return {"step_ms": watch.cpu / STEPS * 1e3}


def _plain_env(options: argparse.Namespace, *, pictures: bool) -> tuple[Any, Any]:
    from nora_bench.envs.libero.init_states import load_init_states
    from nora_bench.envs.libero.sim import install
    from nora_bench.envs.libero.tasks import load_tasks

    install.import_libero(Path(options.assets), Path(options.cache), gl=options.gl)
    if pictures and importlib.util.find_spec("torch"):
        import libero.libero.benchmark  # noqa: F401  where the field's loop gets its tasks and states; imports torch
    from libero.libero.envs.env_wrapper import ControlEnv

    name, root = load_tasks(options.suite)[options.task].name, install.libero_root()
    kwargs: dict[str, Any] = {"camera_heights": 256, "camera_widths": 256} if pictures else {"use_camera_obs": False}
    bddl = str(root / "bddl_files" / options.suite / f"{name}.bddl")
    env = ControlEnv(bddl_file_name=bddl, has_offscreen_renderer=pictures, **kwargs)
    size = 1 + env.sim.model.nq + env.sim.model.nv
    return env, load_init_states(root / "init_files" / options.suite / f"{name}.pruned_init", size)


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """The same episodes through our world, for every look and chunk length, and the floor of each."""
    from nora_bench.envs import protocols
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.libero.sim.env import LiberoEnv

    world = LiberoEnv(EnvOptions(assets=options.assets, gl=options.gl, cache=options.cache))
    protocol, moves = protocols.get("libero/openvla"), actions()
    out: dict[str, Any] = {}
    for look, cameras in LOOKS.items():
        for chunk in (5, 1):
            observation_spec = ObservationSpec(cameras=cameras)
            world.reset(EpisodeSpec(options.suite, options.task, 0, 0, protocol.name), protocol, observation_spec)
            with Stopwatch() as watch:
                for episode in range(EPISODES):
                    world.reset(EpisodeSpec(options.suite, options.task, episode, 0, protocol.name), protocol, observation_spec)
                    for step, move in enumerate(moves):
                        due = step % chunk == chunk - 1 and step + 1 < STEPS
                        world.step(move, observe=due)
                        world.state()
            floor = _floor(world, cameras, STEPS // chunk)
            out[f"{look}/{chunk}"] = {"cpu": watch.cpu / EPISODES, "wall": watch.wall / EPISODES, "floor": floor}
    out["gib"] = peak_gib()
    return out


def ours_step(options: argparse.Namespace) -> dict[str, Any]:
    """Our control step without pictures, goal and state included; no renderer."""
    from nora_bench.envs import protocols
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.libero.sim.env import LiberoEnv

    world = LiberoEnv(EnvOptions(assets=options.assets, gl="none", cache=options.cache))
    protocol = protocols.get("libero/openvla")
    spec = EpisodeSpec(options.suite, options.task, 0, 0, protocol.name)
    world.reset(spec, protocol, ObservationSpec())
    with Stopwatch() as reset:
        for _ in range(5):
            world.reset(spec, protocol, ObservationSpec())
    with Stopwatch() as watch:
        for move in actions():
            world.step(move, observe=False)
            world.state()
    step_ms = watch.cpu / STEPS * 1e3
    return {"step_ms": step_ms, "reset_s": reset.wall / 5 - SETTLE * step_ms / 1e3, "gib_headless": peak_gib()}


def _floor(world: Any, cameras: tuple[str, ...], looks: int) -> float:
    """CPU seconds of an episode's raw physics and due pictures."""
    import mujoco

    model, data, renderer = world._scene.model, world._scene.data, world._renderer
    with Stopwatch() as physics:
        for _ in range((STEPS + SETTLE) * 25):
            mujoco.mj_step(model, data)
    with Stopwatch() as pictures:
        for _ in range(10):
            for camera in cameras:
                renderer.render(camera)
    return physics.cpu + pictures.cpu / 10 * looks


def child(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}
    command = [sys.executable, __file__, "--side", side, *options.passed]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print the table."""
    from nora_bench.envs import suites
    from nora_bench.envs.paths import cache_home

    parser = argparse.ArgumentParser()
    parser.add_argument("--assets", default="auto")
    parser.add_argument("--suite", default="libero_goal")
    parser.add_argument("--task", type=int, default=3)
    parser.add_argument("--gl", default="osmesa")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", choices=["plain", "ours", "plain_step", "ours_step"])
    options = parser.parse_args()
    options.cache = str(cache_home())
    if not options.side:
        pack = suites.get(options.suite).resolve_assets(options.assets)
        options.assets, options.label = pack.path, f"{pack.name} {pack.fingerprint}"
    options.passed = ["--assets", options.assets, "--suite", options.suite, "--task", str(options.task), "--gl", options.gl]
    if options.side:
        print(json.dumps(globals()[options.side](options)))
        return
    report(
        [{side: child(side, options) for side in ("plain", "ours", "plain_step", "ours_step")} for _ in range(options.rounds)],
        options,
    )


def report(rounds: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print ratios of medians."""
    from statistics import median

    def mid(*path: str) -> float:
        values = []
        for turn in rounds:
            value: Any = turn
            for key in path:
                value = value[key]
            values.append(value)
        return median(values)

    print(
        f"{options.suite} task {options.task}, assets {options.label}, {options.gl}, {len(rounds)} rounds, {STEPS}-step episodes"
    )
    torch = "with" if importlib.util.find_spec("torch") else "without"
    cpu, wall, gib = (mid("plain", key) for key in ("cpu", "wall", "gib"))
    print(f"plain loop: {cpu:.2f} CPU s, {wall:.2f} s, {gib:.2f} GiB {torch} torch")
    titles = ("policy looks", "chunk", "CPU s", "wall s", "floor s", "floor share", "ratio CPU", "wall", "target")
    print("".join(f"{title:>13}" for title in titles))
    for (look, chunk), target in TARGETS.items():
        cpu, wall, floor = (mid("ours", f"{look}/{chunk}", key) for key in ("cpu", "wall", "floor"))
        ratio, ratio_wall = mid("plain", "cpu") / cpu, mid("plain", "wall") / wall
        cells = [look, str(chunk), f"{cpu:.2f}", f"{wall:.2f}", f"{floor:.2f}", f"{100 * floor / cpu:.0f} %"]
        cells += [f"{ratio:.1f}x", f"{ratio_wall:.1f}x", f"{target:.1f}x"]
        print("".join(f"{cell:>13}" for cell in cells))
    plain_ms, our_ms = mid("plain_step", "step_ms"), mid("ours_step", "step_ms")
    print(
        f"step without pictures: robosuite {plain_ms:.2f} ms, ours {our_ms:.2f} ms, {our_ms / plain_ms:.2f} of it (target 0.50)"
    )
    print(f"reset without settling: {mid('ours_step', 'reset_s') * 1e3:.0f} ms (target 100)")
    share = mid("ours", "gib") / mid("plain", "gib")
    print(f"memory: {mid('ours', 'gib'):.2f} GiB with both cameras, {share:.2f} of the plain loop's (target 0.50)")


if __name__ == "__main__":
    main()
