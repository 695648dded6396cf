"""Supervised fine-tuning: examples per second, memory, share of the time spent waiting for data.

    python tests/benchmarks/bench_training.py                                  # nano, images in memory, on a CPU
    python tests/benchmarks/bench_training.py --data DEMOS --frames FRAMES     # nano, real images from the disk
    python tests/benchmarks/bench_training.py --size full --batch 16           # released sizes, random weights: needs a CUDA GPU

Model-FLOPs utilisation counts 6 operations per parameter and token (8 with gradient checkpointing are done, 6 are counted):
language model and vision encoder by their own tokens, the expert by its actions. Attention's products are left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from nora_bench.policies.fast import FastTokenizer
from nora_bench.policies.nora.config import FULL_BACKBONE, ExpertConfig, NoraConfig
from nora_bench.policies.nora.nano import untrained, write_tokenizer
from nora_bench.policies.nora.prompt import Prompter
from nora_bench.training.data.dataset import Batch
from nora_bench.training.engine.checkpoints import read_metrics
from nora_bench.training.engine.config import TrainConfig, read_recipe
from nora_bench.training.engine.trainer import train
from nora_bench.training.models.init import InitialModel, NanoSizes, init_nano
from nora_bench.training.sft.objective import SftObjective, SftSettings
from nora_bench.training.sft.stage import SftRecipe, main as sft

PEAK = {"H100": 989e12, "H200": 989e12}
"""Name of a GPU -> bfloat16 operations per second, from its data sheet (SXM)."""
WORDS = "pick up the alphabet soup and place it in the basket"


class Noise:
    """Examples drawn once: noisy images, smooth chunks."""

    def __init__(self, size: int, count: int = 512) -> None:
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
        self.chunks = np.clip(rng.uniform(-1, 1, (count, 1, 7)) + rng.normal(0, 0.2, (count, 5, 7)), -1, 1).astype(np.float32)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray) -> Batch:
        """The examples at these indices."""
        return Batch(self.images[indices], [WORDS] * len(indices), self.chunks[indices], np.ones((len(indices), 5), bool))


def full() -> InitialModel:
    """NORA-1.5 at its released sizes on the GPU, random weights, with a small tokenizer of its vocabulary's layout."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = write_tokenizer(Path(folder) / "tokenizer.json")
        ids = {"image_token_id": vocabulary["<|image_pad|>"], "eos_token_id": vocabulary["<|im_end|>"]}
        config = NoraConfig({**FULL_BACKBONE, **ids}, ExpertConfig(), 5)
        prompter = Prompter.load(Path(folder), config.image_tokens)
    model = untrained(config, 0, "cuda").train()
    return InitialModel(model, prompter, FastTokenizer.fit(list(Noise(8).chunks), vocab_size=512), {}, {})


def operations(objective: SftObjective, length: int) -> float:
    """Floating-point operations that one example's forward and backward pass counts for."""
    model = objective.model
    config, visual = model.config, model.vlm.model.visual
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in (("eyes", visual), ("text", model.vlm))}
    expert = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("vlm."))
    patches = config.image_tokens * config.merge**2
    actions = (config.chunk or 1) * objective.settings.flow_samples
    return 6.0 * (count["eyes"] * patches + (count["text"] - count["eyes"]) * length + expert * actions)


def measure(objective: SftObjective, examples: object, settings: TrainConfig) -> None:
    """Train a little and print."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train(objective, examples, settings, Path(folder))  # pyright: ignore[reportArgumentType]
        lines = read_metrics(Path(folder))[1:]
    rate = float(np.median([line["updates_per_second"] for line in lines])) * settings.examples_per_update
    waiting = float(np.mean([line["waiting"] for line in lines]))
    print(
        f"{rate:.1f} examples/s, {100 * waiting:.2f} % of the time waiting for data, {time.perf_counter() - started:.0f} s in all"
    )
    if torch.cuda.is_available():
        name, peak = torch.cuda.get_device_name(), next((v for k, v in PEAK.items() if k in torch.cuda.get_device_name()), None)
        length = len(objective.start.prompter.prompt(WORDS)) + 15
        share = f", {100 * rate * operations(objective, length) / peak:.1f} % of its peak" if peak else ""
        print(f"{name}: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB{share}")
    else:
        print(f"{psutil.Process().memory_info().rss / 2**30:.2f} GiB resident")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=("nano", "full"), default="nano")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--checkpointing", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sizes = {"steps": given.steps, "batch_size": given.batch}
    loop = TrainConfig(**sizes, log_every=5, save_every=10**6, precision="bfloat16", max_grad_norm=1.0)
    if given.data:
        prepared = sft(read_recipe("nano", "sft", SftRecipe), [given.data], given.frames, Path("unused"), dry_run=True)
        return measure(prepared.objective, prepared.training, loop)
    if given.size == "full":
        return measure(SftObjective(full(), SftSettings(gradient_checkpointing=given.checkpointing)), Noise(224), loop)
    settings = SftSettings(token_weight=0.0, flow_weight=1.0, flow_samples=4)
    return measure(SftObjective(init_nano(NanoSizes(), 0, None, {}), settings), Noise(112), loop)


if __name__ == "__main__":
    main()
