"""The device of a training process."""

from __future__ import annotations

import os

import torch

PARAMETERS_TIMED_ON_CPU = 300_000_000
"""Larger models are not timed before a run on a CPU: their passes take minutes each."""


def training_device() -> torch.device:
    """The GPU that `accelerate` will give this process, else the CPU.

    Models are loaded onto it directly: what precedes training (encoding frames, sampling candidates, timing a pass) runs there,
    and the processes of one machine do not each hold a copy of the weights in the machine's memory.
    """
    if not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
