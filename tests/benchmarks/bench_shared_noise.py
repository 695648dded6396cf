"""How much of a preference gradient is signal: one noise per pair against noises of its own for winner and loser.

    nora-bench label --policy sft/step-000800 --data demonstrations --reward gta --out labels
    python tests/benchmarks/bench_shared_noise.py --policy sft/step-000800 --labels labels --reward gta

The same pairs are differentiated under many draws of noise and time, from the reference itself, where training begins.
Signal: squared norm of the mean gradient. Noise: mean squared distance from it, of one draw. What one draw of another form
is worth in draws of the released one is the quotient of their signal-to-noise ratios.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from nora_bench.training.engine.config import TrainConfig
from nora_bench.training.preference.stage import DpoRecipe, DpoSettings, prepare

FORMS = {
    "released: noise apart, Beta time": DpoSettings(shared_noise=False, time="beta"),
    "noise apart, uniform time": DpoSettings(shared_noise=False),
    "shared noise, Beta time": DpoSettings(time="beta"),
    "default: shared noise, uniform time": DpoSettings(),
}


def signal_and_noise(
    policy: str, labels: Path, reward: str, settings: DpoSettings, pairs: int, draws: int
) -> tuple[float, float]:
    """(squared norm of the mean gradient, mean squared distance from it); the mean's own noise is taken off the first."""
    recipe = DpoRecipe(TrainConfig(steps=1, batch_size=pairs), settings)
    stage = prepare(recipe, policy, labels, reward)
    objective = stage.objective()
    chosen = np.linspace(0, len(stage.examples) - 1, pairs).astype(int)
    batch = stage.examples.batch(chosen)
    trained = [p for name, p in objective.policy.named_parameters() if p.requires_grad and not name.startswith("vlm.")]
    total, squares = None, 0.0
    for seed in range(draws):
        loss = objective(batch, torch.Generator().manual_seed(seed)).total
        found = torch.cat([g.flatten() for g in torch.autograd.grad(loss, trained)])
        total = found if total is None else total + found
        squares += float(found.square().sum())
    assert total is not None
    mean = float((total / draws).square().sum())
    noise = (squares - draws * mean) / (draws - 1)
    return mean - noise / draws, noise


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--reward", default="gta")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--draws", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    ratios = {}
    for name, settings in FORMS.items():
        signal, noise = signal_and_noise(given.policy, given.labels, given.reward, settings, given.pairs, given.draws)
        ratios[name] = signal / noise
        released = ratios[next(iter(FORMS))]
        print(f"{name:>36}  signal / noise of a draw {ratios[name]:.4f}, {ratios[name] / released:6.1f} x released", flush=True)


if __name__ == "__main__":
    main()
