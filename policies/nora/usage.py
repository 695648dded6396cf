"""Measurements of a policy's process: seconds until its first answer, and its memory. Stored with the run, printed by `show`."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from .weights import TIED, Stored

GIB = 2**30


@dataclass
class Usage:
    """Seconds of the first call of each kind."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def first(self, name: str) -> Iterator[None]:
        """Measure the context, the first time."""
        started = time.perf_counter()
        yield
        self.seconds.setdefault(name, time.perf_counter() - started)

    def metrics(self, weights: int, device: str) -> dict[str, float]:
        """`load_s`, `first_decision_s`; GiB of the weights, of this process at its peak, and of the GPU at its peak.

        Args:
            weights: bytes.
            device: type of the device that computes: `cuda` adds what torch has allocated and reserved there.
        """
        sizes = {"weights_gib": weights / GIB, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
        return {name: round(value, 3) for name, value in {**self.seconds, **sizes, **_gpu(device)}.items()}


def weight_bytes(tensors: Mapping[str, Stored], dtype: str, *, tied: bool) -> int:
    """Bytes of a checkpoint's weights in that type; an output head that is the embedding counts once."""
    numbers = sum(math.prod(stored.shape) for name, stored in tensors.items() if not (tied and name == TIED))
    return numbers * (4 if dtype == "float32" else 2)


def _gpu(device: str) -> dict[str, float]:
    torch = sys.modules.get("torch")
    if device != "cuda" or torch is None:
        return {}
    return {
        "gpu_peak_gib": torch.cuda.max_memory_allocated() / GIB,
        "gpu_reserved_gib": torch.cuda.max_memory_reserved() / GIB,
    }
