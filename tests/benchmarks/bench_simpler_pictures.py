"""CPU seconds of a SimplerEnv picture: a process's first, and those after it, by our shaders and by SAPIEN's default ones.

    python tests/benchmarks/bench_simpler_pictures.py [--assets FOLDER] [--pictures 4]

Each line is a process of its own. The robot does not move; a picture costs the same where it does. SAPIEN's default shaders,
whose first picture takes half a minute of software rendering, are timed on one scene.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

SCENES = {
    "pick coke can, visual matching": ("simpler-vm", 0, "urdf_base/standing"),
    "pick coke can, variant aggregation": ("simpler-va", 0, "base/standing"),
    "open drawer, visual matching": ("simpler-vm", 2, "urdf_base/top"),
    "open drawer, variant aggregation": ("simpler-va", 2, "base/top"),
}
OURS, DEFAULT = "raster", "default"


def timed(options: argparse.Namespace) -> tuple[float, float]:
    """CPU seconds of the first picture, and of one afterwards."""
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.protocols import get
    from nora_bench.envs.simpler.sim.env import SapienEnv
    from nora_bench.envs.simpler.sim.render import SimplerRenderer

    suite, task, variant = SCENES[options.scene]
    protocol = get("simpler/nora-1.5")
    world = SapienEnv(EnvOptions(assets=options.assets, gl="none", cache=""))
    world.reset(EpisodeSpec(suite, task, 0, 0, protocol.name, variant), protocol, ObservationSpec())
    before = time.process_time()
    renderer = SimplerRenderer(Path(options.assets), options.gl, **({"shaders": "default"} if options.shaders == DEFAULT else {}))
    renderer.prepare(world.physics.setup)
    renderer.render(world.physics.scene)
    first = time.process_time()
    for _ in range(options.pictures):
        renderer.render(world.physics.scene)
    return first - before, (time.process_time() - first) / options.pictures


def child(options: argparse.Namespace, scene: str, shaders: str) -> tuple[float, float]:
    """`timed` in a process of its own."""
    command = [sys.executable, __file__, "--assets", options.assets, "--gl", options.gl, "--pictures", str(options.pictures)]
    done = subprocess.run([*command, "--scene", scene, "--shaders", shaders], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print a line per scene and shaders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", default="")
    parser.add_argument("--gl", default="")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--scene", choices=SCENES)
    parser.add_argument("--shaders", choices=(OURS, DEFAULT), default=OURS)
    options = parser.parse_args()
    if options.scene:
        print(json.dumps(timed(options)))
        return
    from nora_bench.envs.simpler.assets import packs
    from nora_bench.harness.rendering.vulkan import find_vulkan

    pack, driver = packs.resolve(options.assets or "auto"), find_vulkan()
    options.assets, options.gl = pack.path, driver.name
    print(f"assets {pack.name}, {driver.renderer}; CPU seconds")
    for scene, shaders in [*((scene, OURS) for scene in SCENES), (next(iter(SCENES)), DEFAULT)]:
        first, later = child(options, scene, shaders)
        print(f"{scene:>36} {shaders:>8}: first {first:.2f}, then {later:.3f}", flush=True)


if __name__ == "__main__":
    main()
