"""Does a world model's goal reward know a demonstrated chunk from a wrong one?

    nora-bench train world-model --data demonstrations --episodes 6 --out world-model
    python tests/benchmarks/bench_rewards.py --world-model world-model/step-001500 --data demonstrations

How often a demonstrated chunk gets the better goal reward than the same chunk moved by one random offset in x, y and z, and
the world model's error beside that of saying that nothing changes; over demonstrations that it was trained on, and over later
ones. 50 % is chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from nora_bench.results.statistics.intervals import clopper_pearson
from nora_bench.training.data.dataset import Chunking, normalised_chunks
from nora_bench.training.data.demonstrations import Demonstration, read_files, task_files
from nora_bench.training.data.images import ImageSpec, open_sim_images
from nora_bench.training.data.readers import split
from nora_bench.training.preference.rewards import REWARDS, imagine, score
from nora_bench.training.world_model import checkpoint
from nora_bench.training.world_model.latents import Latents
from nora_bench.training.world_model.stage import action_bounds

NAMES = ("wm-subgoal", "wm-endgoal", "released")
CHUNK, OFFSET = 5, 0.7


def judged(
    latents: Latents, stats: dict, demonstrations: Sequence[Demonstration], every: int
) -> tuple[dict[str, list[bool]], list[tuple[float, float]]]:
    """Reward -> whether the demonstrated chunk won, by state; [(error of the next frame, error of no change)]."""
    won: dict[str, list[bool]] = {name: [] for name in NAMES}
    errors: list[tuple[float, float]] = []
    draw = np.random.default_rng(0)
    for demonstration in demonstrations:
        frames = torch.from_numpy(np.array(latents.get(demonstration))).float()
        cuts = normalised_chunks(demonstration, range(0, len(demonstration), every), stats, Chunking(CHUNK, "drop"), clip=False)
        for start, chunk in zip(cuts.starts, cuts.actions, strict=True):
            moved = chunk + np.pad(draw.normal(0, OFFSET, (1, 3)), ((0, 0), (0, 4)))
            both = torch.from_numpy(np.stack([chunk, moved])).float()
            for name in NAMES:
                reward = REWARDS[name]
                predicted = imagine(latents.world, frames[start], both, reward.unused_actions)
                goal = frames[reward.frame(int(start), CHUNK, len(frames) - 1)]
                ours, other = score(reward, both, both[0], predicted, goal).goal.tolist()
                won[name].append(ours > other)
            next_frame = imagine(latents.world, frames[start], both[:1, :1])[0]
            errors.append(tuple(float((x - frames[start + 1]).abs().mean()) for x in (next_frame, frames[start])))
    return won, errors


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--world-model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--frames", type=Path, default=Path("frames"))
    parser.add_argument("--latents", type=Path, default=Path("latents"))
    parser.add_argument("--episodes", type=int, default=6, help="per task that the world model was trained on")
    parser.add_argument("--others", type=int, default=1, help="later ones per task")
    parser.add_argument("--every", type=int, default=10, help="steps from one state to the next")
    given = parser.parse_args()
    world = checkpoint.load(given.world_model)
    found = Latents(
        given.latents, world, open_sim_images(given.frames, ImageSpec(size=world.config.image_size, frame_stride=1), "standin")
    )
    stats = action_bounds(checkpoint.settings(given.world_model)["norm_stats"])
    files = task_files([given.data])
    first, more = ([*read_files(files, most=count)] for count in (given.episodes, given.episodes + given.others))
    learnt, _ = split(first)
    known = {demonstration.key for demonstration in first}
    for group, some in (("trained on", learnt), ("later ones", [d for d in more if d.key not in known])):
        won, errors = judged(found, stats, some, given.every)
        ours, still = np.mean(errors, axis=0)
        print(f"{group}: {len(some)} demonstrations, {len(errors)} states")
        print(f"  error of the next frame {ours:.4f}, of saying that nothing changes {still:.4f}")
        for name in NAMES:
            low, high = clopper_pearson(sum(won[name]), len(won[name]))
            print(f"  {name:>10}  {np.mean(won[name]):6.1%}  [{low:.1%}, {high:.1%}]")


if __name__ == "__main__":
    main()
