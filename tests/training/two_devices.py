"""Started on several processes by test_devices.py: a few updates of a tiny model under DDP or FSDP, on CPUs."""

import sys
from pathlib import Path

import torch
from nora_bench.training.engine.config import TrainConfig
from nora_bench.training.engine.objective import Loss, Objective
from nora_bench.training.engine.trainer import train


class Curve(Objective):
    """Fits a curve with two layers, undisturbed by draws; a third takes no part, as a token head where no tokens are learned."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(8, 16), torch.nn.Linear(16, 8), torch.nn.Linear(8, 8)])

    def forward(self, batch, generator):
        x, y = (part.to(self.device) for part in batch)
        return Loss((self.layers[1](self.layers[0](x).tanh()) - y).square().mean())

    def export(self, folder, weights):
        from safetensors.torch import save_file

        save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "model.safetensors")


class Rows:
    """Sixty-four rows of eight numbers and their squares."""

    def __init__(self):
        self.x = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))

    def __len__(self):
        return 64

    def batch(self, indices):
        x = self.x[torch.from_numpy(indices)]
        return x, x.square()


def settings(accumulation, steps=6):
    """Batches of 4 per pass; passes of all devices and accumulation make an update."""
    rate = {"learning_rate": 1e-2, "schedule": "constant", "max_grad_norm": 1.0}
    return TrainConfig(
        steps=steps, batch_size=4, gradient_accumulation_steps=accumulation, ema=0.9, save_every=3, keep_last=9, **rate
    )


def sharding(plugin):
    """An accelerator that shards on CPUs. Accelerate leaves sharding out there, without a word, and would replicate."""
    from accelerate import Accelerator
    from accelerate.utils import DistributedType

    accelerator = Accelerator(cpu=True, fsdp_plugin=plugin)
    accelerator.state.distributed_type, accelerator.state.fsdp_plugin = DistributedType.FSDP, plugin
    return accelerator


def main(kind, out, steps, accumulation):
    from accelerate import FullyShardedDataParallelPlugin

    curve = Curve()
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, reshard_after_forward=True) if kind == "fsdp" else None
    accelerator = sharding(plugin) if plugin else None
    train(curve, Rows(), settings(int(accumulation), int(steps)), Path(out), accelerator=accelerator)
    sharded = type(next(curve.parameters())).__name__ == "DTensor"
    assert sharded == (kind == "fsdp")


if __name__ == "__main__":
    main(*sys.argv[1:])
