"""How well can an expert's next actions be known from what an image could tell at best?

    nora-bench collect --suite libero_spatial --episodes 12 --out DEMOS
    python tests/benchmarks/bench_labels.py DEMOS/libero_spatial

A small network learns the next ten actions from the simulator's own numbers: task, hand, fingers, and the two things that
the task is about; then with the hand's last movement besides, which no image shows. What it cannot tell on episodes that
it has not seen, no policy can learn from images of them: it lies in the expert's memory, or in noise that is yet to come.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from nora_bench.policies.scripted.motion import STEP_POSITION
from nora_bench.training.data.dataset import Chunking, cut, openings
from nora_bench.training.data.demonstrations import Demonstration, read_files, task_files
from nora_bench.training.data.readers import smoothed
from nora_bench.training.data.scene_targets import pair_of, positions

CHUNK, WIDTH, UPDATES, BATCH, HELD_OUT = 10, 384, 6000, 256, 7
PHASES = (
    "more than 10 steps before the grasp",
    "the 10 steps before it",
    "closing",
    "carrying",
    "the 10 steps before letting go",
)


@dataclass(frozen=True)
class Examples:
    """Rows of all chunks of some episodes."""

    known: torch.Tensor
    actions: torch.Tensor
    valid: torch.Tensor
    phase: np.ndarray


def known(demonstration: Demonstration, movement: bool) -> np.ndarray:
    """[steps, n] what the network is told, each of the order of 1."""
    hand, fingers = demonstration.robot_states[:, 2:5], demonstration.robot_states[:, :2]
    turned = demonstration.robot_states[:, 5:9] * np.sign(demonstration.robot_states[:, 5:6])
    task = np.eye(10)[np.full(len(demonstration), demonstration.facts["task_id"])]
    things = positions(demonstration)
    away = [10 * (things[name] - hand) for name in pair_of(demonstration, things)]
    moved = [100 * np.diff(hand, axis=0, prepend=hand[:1])] if movement else []
    return np.concatenate([task, 10 * hand, turned, 25 * fingers, *away, *moved], axis=1)


def phases(demonstration: Demonstration) -> np.ndarray:
    """[steps] place in PHASES, -1 for others: the first time that the fingers close, and the next that they open."""
    closed = openings(demonstration.labels)[:, -1] < 0.5
    flips = np.flatnonzero(np.diff(closed)) + 1
    if len(flips) < 2:
        return np.full(len(demonstration), -1)
    step, (close, open_) = np.arange(len(demonstration)), flips[:2]
    bounds = [step < close - 10, step < close, step < close + 8, step < open_ - 10, step < open_]
    return np.select(bounds, range(len(PHASES)), -1)


def examples(demonstrations: Sequence[Demonstration], movement: bool) -> Examples:
    """Everything that touches no push."""
    rows = []
    for demonstration in demonstrations:
        cuts = cut(openings(demonstration.labels), range(len(demonstration)), Chunking(CHUNK), masked=demonstration.pushed)
        told = known(demonstration, movement)[cuts.starts]
        rows.append((told, cuts.actions, cuts.valid, phases(demonstration)[cuts.starts]))
    told, actions, valid, phase = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Examples(*(torch.tensor(x, dtype=torch.float32) for x in (told, actions, valid)), phase)


def fit(data: Examples) -> torch.nn.Module:
    """A network [rows, n] -> [rows, CHUNK * 7], trained with squared errors of the actions in their own standard deviations."""
    torch.manual_seed(0)
    sizes = [data.known.shape[1], WIDTH, WIDTH, WIDTH]
    layers = [part for pair in pairwise(sizes) for part in (torch.nn.Linear(*pair), torch.nn.SiLU())]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, CHUNK * 7))
    scale = data.actions.flatten(0, 1).std(0) + 1e-3
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, UPDATES)
    for _ in range(UPDATES):
        row = torch.randint(len(data.known), (BATCH,))
        error = (net(data.known[row]).unflatten(1, (CHUNK, 7)) - data.actions[row]) / scale
        optimiser.zero_grad()
        (error.square() * data.valid[row][..., None]).mean().backward()
        optimiser.step()
        schedule.step()
    return net


def report(net: torch.nn.Module, data: Examples) -> None:
    """Per phase: where the hand would be after the chunk, and the wrong openings of the fingers."""
    with torch.no_grad():
        told = net(data.known).unflatten(1, (CHUNK, 7))
    missed = ((told - data.actions) * data.valid[..., None])[..., :3].sum(1).norm(dim=-1) * STEP_POSITION * 1000
    wrong = ((told[..., -1] > 0.5) != (data.actions[..., -1] > 0.5)).float().mean(1)
    for number, name in enumerate(PHASES):
        rows = torch.from_numpy(data.phase == number)
        print(f"  {name:36s} {int(rows.sum()):5d} chunks  hand {missed[rows].mean():4.0f} mm  fingers {wrong[rows].mean():6.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--smooth", type=float, default=1.5, help="as `data.smooth` of a recipe")
    options = parser.parse_args()
    torch.set_num_threads(1)
    demonstrations = [smoothed(d, options.smooth) for d in read_files(task_files([options.data]))]
    held_out = [d for number, d in enumerate(demonstrations) if number % HELD_OUT == 0]
    learned = [d for number, d in enumerate(demonstrations) if number % HELD_OUT]
    print(f"{len(learned)} episodes learned from, {len(held_out)} held out; error over {CHUNK} actions, mean")
    for movement in (False, True):
        print("task, hand, fingers, things" + (", and the hand's last movement" if movement else ""))
        report(fit(examples(learned, movement)), examples(held_out, movement))


if __name__ == "__main__":
    main()
