"""What does a picture cost with stand-ins, compared with the official assets? Both packs in one run.

    python tests/benchmarks/bench_standin_render.py [--official FOLDER] [--rounds 20] [--gl osmesa]

One task per scene, settled, drawn at 256 px by nora-bench's own renderer, the packs taking turns. CPU milliseconds
(all threads) and wall milliseconds of the median picture, agent view and wrist; the part that no pack can change, the
robot alone, is printed beside them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

TASKS = {
    "table": ("libero_goal", 3),
    "floor": ("libero_object", 0),
    "kitchen": ("libero_10", 2),
    "living room": ("libero_10", 0),
    "study": ("libero_10", 5),
}
CAMERAS = {"primary": "agent view", "wrist": "wrist"}
ROBOT = ("robot0", "gripper0", "mount0")


def world(assets: str, suite: str, task: int, gl: str) -> Any:
    """A settled world that draws with one pack."""
    from nora_bench.envs import protocols
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.libero.sim.env import LiberoEnv
    from nora_bench.envs.paths import cache_home

    built, protocol = LiberoEnv(EnvOptions(assets=assets, gl=gl, cache=str(cache_home()))), protocols.get("libero/openvla")
    built.reset(EpisodeSpec(suite, task, 0, 0, protocol.name), protocol, ObservationSpec(cameras=tuple(CAMERAS)))
    return built


def measure(worlds: dict[str, Any], camera: str, rounds: int) -> dict[str, tuple[float, float]]:
    """Pack -> CPU and wall milliseconds of the median picture."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in worlds}
    for _ in range(rounds):
        for name, built in worlds.items():
            cpu, wall = time.process_time(), time.perf_counter()
            built._renderer.render(camera)
            taken[name].append((1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)))
    return {name: tuple(statistics.median(column) for column in zip(*rows, strict=True)) for name, rows in taken.items()}


def hide_all_but_robot(built: Any) -> None:
    """Leave the robot alone in the picture."""
    model = built._scene.model
    for geom in range(model.ngeom):
        if not model.geom(geom).name.startswith(ROBOT):
            model.geom_group[geom] = 5


def triangles(built: Any) -> int:
    """Triangles of the drawn meshes that are not the robot's."""
    model = built._scene.model
    drawn = [g for g in range(model.ngeom) if model.geom_group[g] == 1 and model.geom_type[g] == 7]
    return sum(int(model.mesh_facenum[model.geom_dataid[g]]) for g in drawn if not model.geom(g).name.startswith(ROBOT))


def main() -> None:
    """Measure and print the table."""
    from nora_bench.envs import suites

    parser = argparse.ArgumentParser()
    parser.add_argument("--official", default="official")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--gl", default="osmesa")
    options = parser.parse_args()
    os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = options.gl
    packs = {
        name: suites.get("libero_goal").resolve_assets(wanted)
        for name, wanted in (("official", options.official), ("standin", "standin"))
    }
    print(
        ", ".join(f"{name} {pack.fingerprint}" for name, pack in packs.items()),
        f"- {os.cpu_count()} CPUs, {options.gl}, {Path(__file__).name}",
    )
    heads = ("scene", "camera", "official", "stand-in", "ratio (cpu)", "robot alone (cpu)", "triangles without the robot")
    print("CPU/wall ms per picture")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for scene, (suite, task) in TASKS.items():
        worlds = {name: world(pack.path, suite, task, options.gl) for name, pack in packs.items()}
        costs = {camera: measure(worlds, camera, options.rounds) for camera in CAMERAS}
        counts = "/".join(str(triangles(built)) for built in worlds.values())
        hide_all_but_robot(worlds["standin"])
        for camera, cost in costs.items():
            alone = measure({"robot": worlds["standin"]}, camera, options.rounds)["robot"][0]
            (cpu, wall), (cpu_s, wall_s) = cost["official"], cost["standin"]
            times = f"{cpu:.1f}/{wall:.1f} | {cpu_s:.1f}/{wall_s:.1f} | {cpu_s / cpu:.2f} | {alone:.1f}"
            print(f"| {scene} | {CAMERAS[camera]} | {times} | {counts} |")
        for built in worlds.values():
            built.close()


if __name__ == "__main__":
    main()
