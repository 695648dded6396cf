"""CPU time of a training update with token loss: logits before labels alone, against logits at all positions.

    python tests/benchmarks/bench_token_loss.py              # nano, 16 images, one thread; --rounds 10

An update here is forward and backward of both losses. Rounds alternate between the sides, so that other programs on the machine
hit both; medians of CPU time are printed, their ratio, and the largest difference of the gradients.
"""

from __future__ import annotations

import argparse
import statistics
import time
from unittest import mock

import numpy as np
import torch
from bench_training import Noise
from nora_bench.policies.fast import FastTokenizer
from nora_bench.training.models.init import NanoSizes, init_nano
from nora_bench.training.sft import objective as sft
from nora_bench.training.sft.objective import SftObjective, SftSettings

BATCH = 16


def everywhere(labels: torch.Tensor) -> torch.Tensor:
    """Positions of all logits but the last, which has no label."""
    mask = torch.ones_like(labels, dtype=torch.bool)
    mask[:, -1] = False
    return mask


class AllPositions(SftObjective):
    """The objective as it was: logits at every position, those without a label ignored by the loss."""

    def _parts(self, seen, batch, text, generator):
        labels = torch.from_numpy(text.labels)[:, 1:].flatten()
        loss = torch.nn.functional.cross_entropy(seen.logits.float(), labels, ignore_index=sft.IGNORED)
        with mock.patch.object(sft.F, "cross_entropy", lambda *_: loss):
            return super()._parts(seen, batch, text, generator)


def update(objective: SftObjective, data: Noise) -> list[torch.Tensor]:
    loss = objective(data.batch(np.arange(BATCH)), torch.Generator().manual_seed(0)).total
    parameters = [parameter for parameter in objective.model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description="Token loss: logits before labels alone, against all.")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    data = Noise(112, BATCH)
    start = init_nano(NanoSizes(), 0, FastTokenizer.fit(list(data.chunks), vocab_size=1024), {})
    sides = {"all": AllPositions(start, SftSettings()), "labelled": SftObjective(start, SftSettings())}
    spent: dict[str, list[float]] = {name: [] for name in sides}
    gradients: dict[str, list[torch.Tensor]] = {}
    for number in range(rounds + 1):
        for name, objective in sides.items():
            began = time.process_time()
            with mock.patch.object(sft, "before_labels", everywhere if name == "all" else sft.before_labels):
                gradients[name] = update(objective, data)
            if number:  # the first is a warm-up
                spent[name].append(time.process_time() - began)
    medians = {name: statistics.median(times) for name, times in spent.items()}
    for name, median in medians.items():
        print(f"{name:9} {1e3 * median:6.0f} ms per update of {BATCH} images, fastest {1e3 * min(spent[name]):.0f}")
    print(f"all / labelled {medians['all'] / medians['labelled']:.2f}")
    pairs = zip(gradients["all"], gradients["labelled"], strict=True)
    print(
        f"largest difference of gradients {max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs):.1e} of the largest"
    )


if __name__ == "__main__":
    main()
