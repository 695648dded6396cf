"""Training of a world model: demonstrations and their images in, a checkpoint out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...envs.errors import UnknownName
from ..data.action_stats import bounds
from ..data.dataset import ImageSource, split, statistics
from ..data.demonstrations import Demonstration
from ..engine.config import TrainConfig, TrainingError
from . import checkpoint
from .config import PRESETS
from .latents import Latents, Windows

if TYPE_CHECKING:
    from ...policies.adapters import NormStats
    from ..engine.trainer import ProgressCallback
    from .model import WorldModel


@dataclass(frozen=True, slots=True)
class WorldModelRecipe:
    """Recipe of `train world-model`."""

    loop: TrainConfig
    preset: str = "nano"
    """Name of the sizes (`config.PRESETS`)."""
    window: int = 8
    """Frames per example."""
    init_from: str | None = None
    """Initial weights, .safetensors or a folder: of a whole world model, or of its encoder alone."""


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
        from ..engine.trainer import train
        from .objective import WorldModelObjective

        self.latents.encode_all([*self.training, *self.validation], encoded)
        stats = action_bounds(self.measured)
        examples = Windows.of(self.training, self.latents, stats, self.recipe.window)
        held_out = Windows.of(self.validation, self.latents, stats, self.recipe.window) if self.validation else None
        objective = WorldModelObjective(self.world, {"norm_stats": self.measured})
        return train(objective, examples, self.recipe.loop, out, validation=held_out, report=report)


def look_up(
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
    return {suite: bounds(entry) for suite, entry in measured.items()}
