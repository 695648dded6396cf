"""Training of a world model: demonstrations and their images in, a checkpoint out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...envs.errors import UnknownName
from ...policies.adapters import NormStats
from ..data.dataset import ImageSource, bounds_of, statistics
from ..data.demonstrations import Demonstration
from ..data.readers import split
from ..engine.config import TrainConfig, TrainingError, require_field
from ..engine.devices import training_device
from ..engine.objective import Loss, Objective
from ..engine.trainer import ProgressCallback, train
from . import checkpoint
from .latents import Latents, Window, Windows
from .model import PRESETS, WorldModel


@dataclass(frozen=True, slots=True)
class WorldModelRecipe:
    """Recipe of `train world-model`."""

    loop: TrainConfig
    preset: str = "nano"
    """Name of the sizes (`model.PRESETS`)."""
    window: int = 8
    """Frames per example."""
    init_from: str | None = None
    """Initial weights, .safetensors or a folder: of a whole world model, or of its encoder alone."""


class WorldModelObjective(Objective):
    """Teacher forcing plus roll-out; the encoder stays frozen."""

    def __init__(self, world: WorldModel, about: Mapping[str, Any]) -> None:
        """`about` is written beside the weights: the statistics of its actions, what it was trained on."""
        super().__init__()
        self.world, self.about = world, about

    @property
    def device(self) -> torch.device:
        """Device of the predictor."""
        return next(self.world.predictor.parameters()).device

    def forward(self, batch: Window, generator: torch.Generator) -> Loss:
        loss = self.world.loss(batch.latents.to(self.device), batch.actions.to(self.device))
        return Loss(loss.total, {"teacher_forcing": loss.teacher_forcing.detach(), "rollout": loss.rollout.detach()})

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the world model."""
        twin = WorldModel(self.world.config)
        checkpoint.load_weights(twin, {name.removeprefix("world."): value for name, value in weights.items()})
        checkpoint.save(twin, folder, self.about)


@dataclass(frozen=True)
class WorldModelStage:
    """A prepared run; nothing is encoded or trained."""

    recipe: WorldModelRecipe
    world: WorldModel
    latents: Latents
    training: Sequence[Demonstration]
    validation: Sequence[Demonstration]
    measured: Mapping[str, Any]
    """Suite -> statistics of the labels."""

    @property
    def frames_missing(self) -> int:
        """Frames that are not encoded yet."""
        return sum(map(len, self.latents.missing([*self.training, *self.validation])))

    def run(self, out: Path, encoded: Callable[[int], None], report: ProgressCallback | None = None) -> Path:
        """Encode missing frames and train, resuming both; the folder of the last checkpoint."""
        self.world.to(training_device())
        self.latents.encode_all([*self.training, *self.validation], encoded)
        stats = action_bounds(self.measured)
        examples = Windows.of(self.training, self.latents, stats, self.recipe.window)
        held_out = Windows.of(self.validation, self.latents, stats, self.recipe.window) if self.validation else None
        objective = WorldModelObjective(self.world, {"norm_stats": self.measured})
        return train(objective, examples, self.recipe.loop, out, validation=held_out, report=report)


def prepare(
    recipe: WorldModelRecipe, demonstrations: Sequence[Demonstration], images: Callable[[int], ImageSource], latents: Path
) -> WorldModelStage:
    """Prepare a run on these demonstrations.

    Args:
        recipe: settings of the run.
        demonstrations: all of them; the key decides between training and validation.
        images: size -> source of their images, one for every step.
        latents: cache of encoded frames.
    """
    if recipe.preset not in PRESETS:
        raise UnknownName("preset", recipe.preset, PRESETS)
    require_field("window", recipe.window, recipe.window >= 2, "be at least 2")
    world = checkpoint.untrained(PRESETS[recipe.preset], recipe.loop.seed)
    if recipe.init_from:
        checkpoint.start_from(world, Path(recipe.init_from))
    elif PRESETS[recipe.preset].trained_encoder:
        raise TrainingError(f"the preset {recipe.preset} needs trained weights. Add --init-from FILE.safetensors")
    training, validation = split(demonstrations)
    found = Latents(latents, world, images(world.config.image_size))
    return WorldModelStage(recipe, world, found, training, validation, statistics(training))


def action_bounds(measured: Mapping[str, Any]) -> dict[str, NormStats]:
    """Suite -> bounds of the actions."""
    return {suite: bounds_of(entry) for suite, entry in measured.items()}
