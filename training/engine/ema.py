"""A running average of the trained weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


class EMA:
    """Follows the trainable parameters of a module, wherever their pieces lie."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.reset()

    def reset(self) -> None:
        """Start from the weights in place."""
        self.values = [parameter.detach().clone() for parameter in self._trained()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights in. Early on it forgets faster, so that the first weights do not stay in it."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for value, parameter in zip(self.values, self._trained(), strict=True):
            value.lerp_(parameter.detach(), 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the averaged weights meanwhile."""
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
