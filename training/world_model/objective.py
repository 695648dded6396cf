"""The world model's objective for the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..engine.objective import Loss, Objective
from .checkpoint import load_weights, save
from .model import WorldModel


@dataclass(frozen=True, slots=True)
class Window:
    """T consecutive frames of B episodes and what was done between them."""

    latents: Tensor
    """[B, T, K, E] normalised."""
    actions: Tensor
    """[B, T - 1, A] normalised."""


class WorldModelObjective(Objective):
    """Teacher forcing plus roll-out; the encoder stays frozen."""

    def __init__(self, world: WorldModel, about: Mapping[str, Any]) -> None:
        """`about` is written beside the weights: the statistics of its actions, what it was trained on."""
        super().__init__()
        self.world, self.about = world, about

    @property
    def device(self) -> torch.device:
        """Where the predictor is."""
        return next(self.world.predictor.parameters()).device

    def forward(self, batch: Window, generator: torch.Generator) -> Loss:
        loss = self.world.loss(batch.latents.to(self.device), batch.actions.to(self.device))
        return Loss(loss.total, {"teacher_forcing": loss.teacher_forcing.detach(), "rollout": loss.rollout.detach()})

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the world model."""
        twin = WorldModel(self.world.config)
        load_weights(twin, {name.removeprefix("world."): value for name, value in weights.items()})
        save(twin, folder, self.about)
