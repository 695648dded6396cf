"""Interfaces of the trainer: objective, loss and examples.

An objective is a torch module: `forward` turns a batch into a loss, its trainable parameters are trained, and `export` writes
the policy that `--policy FOLDER` loads. The trainer does everything else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...envs.types import Array
from .config import TrainConfig


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss of a batch."""

    total: Tensor
    """Scalar, with gradient."""
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    """Name -> scalar to log, detached; averaged over passes and devices."""


class Objective(nn.Module):
    """Base class of objectives; define `forward`."""

    def forward(self, batch: Any, generator: torch.Generator) -> Loss:
        """The loss of a batch.

        Args:
            batch: from `Examples.batch`; the objective moves it to the device of the weights.
            generator: a CPU generator, the only randomness to use: it is seeded for this pass of this update, so that a resumed
                run samples the same numbers as an uninterrupted one.
        """
        raise NotImplementedError

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the policy that an evaluation loads. Default: nothing.

        Args:
            folder: exists.
            weights: the objective's full state by name, of the moving average if the run has one; the objective's own
                parameters may be sharded over devices.
        """

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device


class Examples(Protocol):
    """Training data with random access."""

    def __len__(self) -> int: ...

    def batch(self, indices: Array) -> Any:
        """The examples at these indices, stacked. Called from a thread; must not use a global random generator."""
        ...


def seconds_per_update(objective: Objective, examples: Examples, settings: TrainConfig, passes: int = 2) -> float:
    """Seconds per update on the objective's device: the best of a few forward and backward passes.

    Weights and gradients are left unchanged. The optimizer step, which is short, is not included.
    """
    batch = examples.batch(np.arange(settings.batch_size) % len(examples))
    device = objective.device.type
    half = torch.autocast(device, torch.bfloat16) if settings.precision == "bfloat16" else nullcontext()
    seconds = []
    for _ in range(passes):
        started = time.perf_counter()
        with half:
            loss = objective(batch, torch.Generator().manual_seed(0)).total
        loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    objective.zero_grad()
    return min(seconds) * settings.gradient_accumulation_steps
