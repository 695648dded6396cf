"""How often do grasps of the can hold, over positions, orientations and small shifts? Success rates of the scripted expert.

    python tests/benchmarks/bench_grasps.py --assets FOLDER [--orientation standing] [--every 3] [--shift 0.01] [--squeeze]

Plays pick coke can (visual matching) by physics alone. Every episode is the grid's, the can shifted by up to `--shift` m
(drawn from the episode's number). `--squeeze` keeps closing the fingers for the whole episode, as trained policies do;
without it the expert eases its grip. `held` counts control steps on which the can was significantly lifted, of those
that were left after the first.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

LOOK = "urdf_base"
"""Looks do not change the physics."""


def main() -> None:
    """Print one line per orientation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="folder that holds ManiSkill2_real2sim")
    parser.add_argument("--orientation", action="append", choices=("horizontal", "vertical", "standing"))
    parser.add_argument("--every", type=int, default=3, help="play every n-th position of the grid's 25")
    parser.add_argument("--shift", type=float, default=0.0, help="largest shift of the can along x and y, m")
    parser.add_argument("--squeeze", action="store_true", help="close on for the whole episode")
    options = parser.parse_args()
    for orientation in options.orientation or ("horizontal", "vertical", "standing"):
        print(summary(orientation, [play(orientation, index, options) for index in range(0, 25, options.every)]), flush=True)


def play(orientation: str, index: int, options: argparse.Namespace) -> dict[str, Any]:
    """Won or not, and the part of the steps after the first lift on which the can was still up."""
    from nora_bench.envs.simpler.grid import find
    from nora_bench.envs.simpler.sim.env import PhysicsScene, start_position
    from nora_bench.envs.simpler.sim.privileged import privileged_state, scene_facts
    from nora_bench.envs.simpler.sim.settling import ObjectSettler
    from nora_bench.policies.scripted.google_robot import carrying, motion, plans, scene

    setup = find("pick_coke_can", "visual_matching", f"{LOOK}/{orientation}").episode(index)
    assert setup.obj_xy is not None
    x, y = np.add(setup.obj_xy, np.random.default_rng(index).uniform(-options.shift, options.shift, 2)).tolist()
    shifted = replace(setup, obj_xy=(x, y))
    physics = PhysicsScene(options.assets, shifted, ObjectSettler(options.assets).settle(shifted), start_position(shifted))
    seen = scene.GoogleRobotScene(
        {**privileged_state(physics.scene, physics.robot), "scene": scene_facts(physics.scene, physics.robot, physics.setup)}
    )
    controller, plan, up = motion.Controller(seen.base), plans.solve(seen), []
    done = False
    for _ in range(setup.configuration.max_episode_steps):
        seen.update(privileged_state(physics.scene, physics.robot))
        action = controller.action(seen.gripper, next(plan))
        if options.squeeze and action[6] in (carrying.EASE, carrying.KEEP):
            action[6] = 1.0
        done = physics.step(action)
        up.append(bool(physics.rule.facts()["lifted_object_significantly"]))
    first = up.index(True) if any(up) else len(up)
    return {"won": done, "held": float(np.mean(up[first:])) if any(up) else 0.0}


def summary(orientation: str, played: list[dict[str, Any]]) -> str:
    """Rates of an orientation, with the standard error of the first."""
    n, rate = len(played), float(np.mean([episode["won"] for episode in played]))
    held = float(np.mean([episode["held"] for episode in played]))
    return f"{orientation:10}  won {rate:4.0%} of {n} (+- {math.sqrt(rate * (1 - rate) / n):.0%})  held {held:.0%}"


if __name__ == "__main__":
    main()
