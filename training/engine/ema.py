"""Exponential moving average of the trained weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


class EMA:
    """Moving average of a module's trainable parameters, sharded as they are."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.reset()

    def reset(self) -> None:
        """Restart from the current weights."""
        self.values = [parameter.detach().clone() for parameter in self._trained()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the current weights. Early updates use a smaller decay, so that the initial weights fade out."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for value, parameter in zip(self.values, self._trained(), strict=True):
            value.lerp_(parameter.detach(), 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Swap the averaged weights into the module for the duration of the context."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for value, parameter in zip(self.values, self._trained(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)

    def _trained(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]
