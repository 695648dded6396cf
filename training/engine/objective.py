"""What the loop asks of an objective and of its examples.

An objective is a torch module: its `forward` turns a batch into a loss, its trainable parameters are what is trained, and
`export` writes what `--policy FOLDER` loads. The loop does everything else.
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
    """What a batch costs."""

    total: Tensor
    """Scalar, with gradient."""
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    """Name -> scalar to log, detached; averaged over passes and devices."""


class Objective(nn.Module):
    """A loss over batches; subclass it and define `forward`."""

    def forward(self, batch: Any, draw: torch.Generator) -> Loss:
        """The loss of a batch.

        Args:
            batch: what `Examples.batch` gave; moving it to the device of the weights is the objective's business.
            draw: a CPU generator, the only randomness that may be used: its seed belongs to this pass of this update, so that
                a resumed run draws what an uninterrupted one draws.
        """
        raise NotImplementedError

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write what an evaluation loads. Default: nothing.

        Args:
            folder: exists.
            weights: the objective's whole state by name: of the running average, where there is one. The objective's own
                parameters may lie in pieces on several devices.
        """

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


class Examples(Protocol):
    """Data with random access."""

    def __len__(self) -> int: ...

    def batch(self, indices: Array) -> Any:
        """The examples at these indices, stacked. Called from a thread; must not draw from a global generator."""
        ...


def seconds_per_update(objective: Objective, examples: Examples, settings: TrainConfig, passes: int = 2) -> float:
    """Seconds that an update takes on the objective's device: the best of a few passes forwards and backwards.

    Leaves weights as they are and no gradients behind. The optimiser's own step, which is small, is not counted.
    """
    batch = examples.batch(np.arange(settings.batch_size) % len(examples))
    device = objective.device.type
    half = torch.autocast(device, torch.bfloat16) if settings.precision == "bfloat16" else nullcontext()
    taken = []
    for _ in range(passes):
        started = time.perf_counter()
        with half:
            loss = objective(batch, torch.Generator().manual_seed(0)).total
        loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    objective.zero_grad()
    return min(taken) * settings.gradient_accumulation_steps
