"""Inputs of the trainer: an objective, and batches of examples in the run's order.

An objective is a torch module: `forward` turns a batch into a loss, its trainable parameters are trained, and `export` writes
the policy that `--policy FOLDER` loads. The trainer does everything else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...envs.types import Array
from .config import TrainConfig
from .order import order_of


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


class PrefetchLoader:
    """Batches in the run's order, prefetched by one in a thread."""

    def __init__(self, examples: Examples, settings: TrainConfig, rank: int, world_size: int) -> None:
        self.examples, self.settings, self.rank, self.world_size = examples, settings, rank, world_size
        self.order = order_of(examples, len(examples), settings.seed)
        self.waited = 0.0
        """Seconds spent waiting for data."""
        self._pool = ThreadPoolExecutor(1)
        self._ahead: tuple[int, Future[Any]] | None = None

    def next(self, step: int, index: int) -> tuple[Any, int]:
        """(batch, global number of the pass) of pass `index` of an update on this device."""
        number = self._number(step, index)
        start = time.perf_counter()
        future = self._ahead[1] if self._ahead and self._ahead[0] == number else self._read(number)
        batch = future.result()
        self.waited += time.perf_counter() - start
        after = divmod(step * self.settings.gradient_accumulation_steps + index + 1, self.settings.gradient_accumulation_steps)
        following = self._number(*after)
        self._ahead = (following, self._read(following)) if after[0] < self.settings.steps else None
        return batch, number

    def close(self) -> None:
        """Stop prefetching."""
        self._pool.shutdown(cancel_futures=True)

    def _number(self, step: int, index: int) -> int:
        return (step * self.settings.gradient_accumulation_steps + index) * self.world_size + self.rank

    def _read(self, number: int) -> Future[Any]:
        indices = self.order.indices(number * self.settings.batch_size, self.settings.batch_size)
        return self._pool.submit(self.examples.batch, indices)


class ThroughputMeter:
    """Mean metrics and throughput since the last report."""

    def __init__(self, loader: PrefetchLoader) -> None:
        self._loader = loader
        self.restart()

    def restart(self) -> None:
        """Reset the sums and the clock."""
        self._sums: dict[str, Tensor] = {}
        self._updates, self._waited, self._start = 0, self._loader.waited, time.perf_counter()

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """Exclude the time spent in the context."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add the metrics of one update."""
        self._updates += 1
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def numbers(self) -> dict[str, float]:
        """Mean metrics, `updates_per_second`, and `waiting`, the share of time spent waiting for data."""
        means = {name: float(value) / self._updates for name, value in self._sums.items()}  # waits for the device
        seconds = time.perf_counter() - self._start
        speed = {"updates_per_second": self._updates / seconds, "waiting": (self._loader.waited - self._waited) / seconds}
        return {**means, **speed}


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
