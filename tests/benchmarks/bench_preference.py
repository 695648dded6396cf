"""What an update of preference optimisation costs beside an update of supervised training on the same states.

    python tests/benchmarks/bench_preference.py                 # nano, CPU time of one thread
    python tests/benchmarks/bench_preference.py --size full     # released sizes, random weights: needs a CUDA GPU

Forwards and backwards alone; nano models turn by turn, so that all meet the same load, full ones one after the other.
Supervised training is of the flow, one draw per image, no token loss; a pair has four terms, winner and loser under
policy and reference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from bench_training import WORDS, Noise, full
from nora_bench.training.models.init import InitialModel, NanoSizes, init_nano
from nora_bench.training.preference.pairs import FlowPairs, PromptCollator
from nora_bench.training.preference.stage import DpoSettings, FlowPreference
from nora_bench.training.sft.objective import SftObjective, SftSettings

SUPERVISED = "supervised"
KINDS = {
    "full reference": (DpoSettings(), False),
    "released, reference on the trained prefix": (DpoSettings(reference="shared-prefix"), False),
    "expert alone, full reference": (DpoSettings(), True),
}


def seconds(run: Callable[[], None]) -> float:
    """CPU time of this process, or with a GPU the time until it is done."""
    gpu = torch.cuda.is_available()
    clock = time.perf_counter if gpu else time.process_time
    started = clock()
    run()
    if gpu:
        torch.cuda.synchronize()
    return clock() - started


def update(objective: torch.nn.Module, batch: object, device: str) -> Callable[[], None]:
    """Forwards and backwards of one batch."""

    def run() -> None:
        objective.zero_grad()
        with torch.autocast(device, torch.bfloat16):
            loss = objective(batch, torch.Generator().manual_seed(0))
        loss.total.backward()

    return run


def preference(start: InitialModel, batch: int, settings: DpoSettings, *, expert_only: bool) -> tuple[FlowPreference, FlowPairs]:
    """The objective, and pairs at the states that supervised training sees."""
    examples = Noise(start.model.config.image_size)
    prompts = PromptCollator(start.model.config, start.prompter).collate(examples.images[:batch], [WORDS] * batch)
    chunks = torch.from_numpy(examples.chunks[: 2 * batch])
    objective = FlowPreference(start.model, settings, lambda folder, weights: None, expert_only=expert_only)
    return objective, FlowPairs(prompts, chunks)


def timed(runs: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, turn by turn after a round to warm up."""
    taken = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds + 1)][1:]
    return {name: float(np.median([one[name] for one in taken])) for name in runs}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=("nano", "full"), default="nano")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)

    def start() -> InitialModel:
        return full() if given.size == "full" else init_nano(NanoSizes(), 0, None, {})

    def run_of(name: str) -> Callable[[], None]:
        if name == SUPERVISED:
            sft = SftObjective(start(), SftSettings(token_weight=0.0))
            return update(sft, Noise(sft.model.config.image_size).batch(np.arange(given.batch)), sft.device.type)
        settings, expert_only = KINDS[name]
        objective, pairs = preference(start(), given.batch, settings, expert_only=expert_only)
        return update(objective, pairs, objective.device.type)

    names = [SUPERVISED, *KINDS]
    groups = [[name] for name in names] if given.size == "full" else [names]  # one at a time where memory is short
    taken: dict[str, float] = {}
    for group in groups:
        taken |= timed({name: run_of(name) for name in group}, given.rounds)
    for name, median in taken.items():
        print(f"{name:>42}  {1e3 * median:8.1f} ms  {median / taken[SUPERVISED]:5.2f} x")


if __name__ == "__main__":
    main()
