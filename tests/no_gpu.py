"""A GPU that does not exist: tensors without numbers that know their device (`FakeTensorMode`).

An operation that meets tensors of two devices, or that brings a number to the host (`.item()`, `nonzero`, `bool()`), raises, as
it would fail or stall on a GPU while a CUDA graph is captured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from nora_bench.policies.nora.config import NoraConfig
from nora_bench.policies.nora.model import functional, vision
from nora_bench.policies.nora.model.reference import NoraModel
from torch._subclasses.fake_tensor import FakeTensorMode


@contextmanager
def imagined_gpu(config: NoraConfig, monkeypatch) -> Iterator[torch.device]:
    """The device. Tables that are made on the host before anything else keep their numbers.

    A torch without CUDA refuses to name a CUDA device, even for tensors without numbers: the test is skipped there.
    """
    if torch.version.cuda is None:
        pytest.skip(f"torch {torch.__version__} is built without CUDA: pip install torch (its build for Linux with CUDA)")
    from nora_bench.training.models import backbone

    side = config.image_size // config.patch
    places = vision.get_vision_position_ids(torch.tensor([[1, side, side]]), config.merge)
    windows = functional.window_order(config)
    for module in (vision, backbone):
        monkeypatch.setattr(module, "window_order", lambda _: windows)
        monkeypatch.setattr(module, "get_vision_position_ids", lambda *_: places)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield torch.device("cuda:0")


def model_on(device: torch.device, config: NoraConfig, dtype: torch.dtype) -> NoraModel:
    """A model there."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = NoraModel(config)
            model.restore_rotary()
    finally:
        torch.set_default_dtype(before)
    return model.eval().requires_grad_(False)


def inputs_on(device: torch.device, config: NoraConfig, rows: int, length: int) -> tuple[torch.Tensor, ...]:
    """(ids, positions, pixels) of a batch of prompts."""
    side, values = config.image_size // config.patch, 3 * 2 * config.patch**2
    ids = torch.zeros((rows, length), dtype=torch.int64, device=device)
    positions = torch.zeros((3, rows, length), dtype=torch.int64, device=device)
    return ids, positions, torch.zeros((rows, side**2, values), device=device)
