"""Order of the examples, and batches prefetched in that order."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ...envs.types import Array
from .config import TrainConfig, TrainingError
from .objective import Examples


class ShuffledOrder:
    """Order of the examples: a new permutation per epoch, determined by the seed."""

    def __init__(self, length: int, seed: int) -> None:
        if length < 1:
            raise TrainingError("no examples to train on")
        self.length, self.seed = length, seed
        self._epoch, self._permutation = -1, np.empty(0, np.int64)

    def indices(self, start: int, count: int) -> Array:
        """[count] int64: indices of the run's examples `start`, `start + 1`, ..."""
        return np.array([self._at(position) for position in range(start, start + count)], np.int64)

    def _at(self, position: int) -> int:
        epoch, within = divmod(position, self.length)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.length)
        return int(self._permutation[within])


class PrefetchLoader:
    """Batches in the run's order, prefetched by one in a thread."""

    def __init__(self, examples: Examples, settings: TrainConfig, rank: int, world_size: int) -> None:
        self.examples, self.settings, self.rank, self.world_size = examples, settings, rank, world_size
        self.order = ShuffledOrder(len(examples), settings.seed)
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
