"""Record episodes of LIBERO's own environment in the layout of docs/evidence/parity.md.

    python tests/envs/libero/record.py OUT libero_goal/1 libero_10/3 [--assets FOLDER] [--steps 20]

Nothing of ours steps or resets: hard resets, robosuite's own control step. The recordings in
`envs/libero/recordings`, which `nora-bench selfcheck` replays, were made with it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

OBSERVED = ("joint_pos", "eef_pos", "eef_quat", "gripper_qpos")
SETTLE = [0.0] * 6 + [-1.0]


def actions(suite: str, task: int, steps: int) -> np.ndarray:
    """[10 + steps, 7]: ten settling steps, then smooth random motion with an opening and closing gripper."""
    rng = np.random.default_rng([len(suite), task])
    knots = rng.uniform(-1, 1, (steps // 10 + 2, 6)) * [0.6, 0.6, 0.6, 0.3, 0.3, 0.3]
    at = np.arange(steps) / 10
    moves = np.stack([np.interp(at, np.arange(len(knots)), knots[:, k]) for k in range(6)], axis=1)
    played = np.concatenate([moves, np.where(at[:, None] % 2 < 1, -1.0, 1.0)], axis=1)
    return np.concatenate([[SETTLE] * 10, played])


def record(suite: str, task: int, state: int, seed: int, steps: int, out: Path) -> None:
    """Play one episode and write `<out>/random_<suite>_<task>.npz` and `.json`."""
    from libero.libero.envs.env_wrapper import ControlEnv
    from nora_bench.envs.libero.init_states import load_init_states
    from nora_bench.envs.libero.sim.install import libero_root
    from nora_bench.envs.libero.tasks import load_tasks

    name, root = load_tasks(suite)[task].name, libero_root()
    env = ControlEnv(
        bddl_file_name=str(root / "bddl_files" / suite / f"{name}.bddl"), has_offscreen_renderer=False, use_camera_obs=False
    )
    env.env.object_property_initializers.clear()
    env.seed(seed)
    env.reset()
    states = [env.get_sim_state()]
    model = env.sim.model
    arrays = {"body_pos": model.body_pos.copy(), "body_quat": model.body_quat.copy()}
    env.set_init_state(load_init_states(root / "init_files" / suite / f"{name}.pruned_init", len(states[0]))[state])
    states.append(env.get_sim_state())
    seen, done, played = {key: [] for key in OBSERVED}, [], actions(suite, task, steps)
    for action in played:
        observation, _, success, _ = env.step(action)
        states.append(env.get_sim_state())
        done.append(bool(success))
        for key in OBSERVED:
            seen[key].append(observation[f"robot0_{key}"])
    arrays |= {key: np.array(values) for key, values in seen.items()}
    arrays |= {"states": np.array(states), "done": np.array(done), "actions": played}
    arrays["sha256_states"] = np.array(hashlib.sha256(arrays["states"].tobytes()).hexdigest())
    facts = {"suite": suite, "task": task, "bddl": f"{name}.bddl", "init_states_file": f"{name}.pruned_init"}
    facts |= {"init_state": state, "seed": seed, "settle_steps": 10}
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / f"random_{suite}_{task}.npz", **arrays)
    (out / f"random_{suite}_{task}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Record what is asked for."""
    from nora_bench.envs import suites
    from nora_bench.envs.libero.sim.install import import_libero
    from nora_bench.envs.paths import cache_home

    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--assets", default="auto")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    pack = suites.get("libero_goal").resolve_assets(options.assets)
    import_libero(Path(pack.path), cache_home(), gl="none")
    for named in options.tasks:
        suite, task = named.split("/")
        record(suite, int(task), (int(task) * 7 + 3) % 50, 7, options.steps, options.out)


if __name__ == "__main__":
    main()
