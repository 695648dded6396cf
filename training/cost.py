"""What a run will cost, measured on this machine before it starts."""

from __future__ import annotations

import time
from contextlib import nullcontext

import numpy as np
import torch

from .objective import Examples, Objective
from .settings import LoopSettings


def seconds_per_update(objective: Objective, examples: Examples, settings: LoopSettings, passes: int = 2) -> float:
    """Seconds that an update takes on the objective's device: the best of a few passes forwards and backwards.

    Leaves weights as they are and no gradients behind. The optimiser's own step, which is small, is not counted.
    """
    batch = examples.batch(np.arange(settings.batch) % len(examples))
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
    return min(taken) * settings.accumulation
