"""What a control step of SimplerEnv costs beyond SAPIEN's own physics, and what a reset costs. No pictures.

    python tests/benchmarks/bench_simpler_physics.py [--assets FOLDER] [--steps 40]

CPU seconds. A control step is 171 physics steps with inverse kinematics, plans, drive targets, passive forces, contacts
and the success rule; SAPIEN's own part is the time spent inside its `step`. The plain loop beside it is upstream's code
path on the same scene: one Python call per joint, target and physics step, with arrays, and the plan sampled in the loop.
A first reset settles the objects, a later one of the same scene finds them settled.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

EPISODES = {
    "pick coke can": ("simpler-vm", 0, "urdf_base/standing"),
    "move near": ("simpler-vm", 1, "urdf_base"),
    "close drawer": ("simpler-vm", 3, "urdf_base/middle"),
    "six distractors": ("simpler-va", 0, "distractor_more/vertical"),
}
TARGET, RESET = 1.3, 0.3


class Timed:
    """A physics system that counts the CPU seconds of its steps."""

    def __init__(self, system: Any) -> None:
        self._system, self.spent = system, 0.0

    def step(self) -> None:
        """One physics step."""
        began = time.process_time()
        self._system.step()
        self.spent += time.process_time() - began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)


def actions(steps: int) -> np.ndarray:
    """[steps, 7]: smooth random motion, the fingers now and then."""
    rng = np.random.default_rng(0)
    moves = np.cumsum(rng.normal(0, [0.005] * 3 + [0.02] * 3, (steps, 6)), axis=0)
    return np.concatenate([np.clip(moves, -0.05, 0.05), np.where(np.arange(steps)[:, None] % 10 < 5, 0.0, 0.5)], axis=1)


def measured(world: Any, steps: int, play: Any = None) -> tuple[float, float]:
    """CPU seconds of a control step, and of SAPIEN's part of it."""
    scene = world.physics.scene
    scene.system = timed = Timed(scene.system)
    if play:
        scene.play = lambda drive: play(scene, drive)
    began = time.process_time()
    for action in actions(steps):
        world.step(action, observe=False)
    return (time.process_time() - began) / steps, timed.spent / steps


def plain_play(scene: Any, drive: Any) -> None:
    """The substeps as upstream writes them."""
    robot = scene.robot
    for row, speeds in zip(drive.position, drive.finger_velocity, strict=True):
        force = robot.body.compute_passive_force(gravity=True, coriolis_and_centrifugal=True)
        for joint, angle in zip(robot._joints, row, strict=True):
            joint.set_drive_target(np.array([angle], np.float32))
        for joint, speed in zip(robot._joints[7:9], speeds, strict=True):
            joint.set_drive_velocity_target(np.array([speed], np.float32))
        robot.body.set_qf(force)
        scene.system.step()


def main() -> None:
    """Print a line per scene."""
    from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
    from nora_bench.envs.protocols import get
    from nora_bench.envs.simpler.assets import packs
    from nora_bench.envs.simpler.sim.env import SapienEnv

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", default="auto")
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    pack, protocol = packs.resolve(options.assets), get("simpler/nora-1.5")
    print(f"assets {pack.name}; target: control step {TARGET}x SAPIEN's own, reset {RESET} s")
    for name, (suite, task, variant) in EPISODES.items():
        world, spec, resets = (
            SapienEnv(EnvOptions(pack.path, "none", "")),
            EpisodeSpec(suite, task, 0, 0, protocol.name, variant),
            [],
        )
        for _ in range(2):
            began = time.process_time()
            world.reset(spec, protocol, ObservationSpec())
            resets.append(time.process_time() - began)
        step, own = measured(world, options.steps)
        world.reset(spec, protocol, ObservationSpec())
        plain, plain_own = measured(world, options.steps, plain_play)
        beyond, plain_beyond = step / own, plain / plain_own
        print(
            f"{name:16} control step {step * 1e3:.1f} ms, {beyond:.2f}x SAPIEN's {own * 1e3:.1f}; "
            f"plain loop {plain * 1e3:.1f} ms, {plain_beyond:.2f}x; reset {resets[0]:.3f} s, again {resets[1]:.3f} s"
        )


if __name__ == "__main__":
    main()
