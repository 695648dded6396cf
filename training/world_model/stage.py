"""The stage `train world-model`: from demonstrations and their pictures to a trained world model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.action_stats import bounds
from ..data.dataset import Pictures, split, statistics
from ..data.demonstrations import Demonstration
from ..engine.config import LoopSettings, TrainingError
from . import checkpoint
from .config import PRESETS
from .latents import Latents, Windows

if TYPE_CHECKING:
    from ...policies.adapters import NormStats
    from ..engine.trainer import Report
    from .model import WorldModel


@dataclass(frozen=True, slots=True)
class WorldModelRecipe:
    """Settings of the stage."""

    loop: LoopSettings
    preset: str = "nano"
    """Sizes, by name (`config.PRESETS`)."""
    window: int = 8
    """Frames per example."""
    start: str | None = None
    """Published weights (.safetensors) or a folder of ours: of a whole world model, or of its encoder alone."""


@dataclass(frozen=True)
class WorldModelStage:
    """Everything looked up; nothing encoded or trained."""

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

    def run(self, out: Path, encoded: Callable[[int], None], report: Report | None = None) -> Path:
        """Encode what is missing, train, going on where either was stopped; the last checkpoint's folder."""
        from ..engine.trainer import train
        from .objective import WorldModelObjective

        self.latents.encode_all([*self.training, *self.validation], encoded)
        stats = action_bounds(self.measured)
        examples = Windows.of(self.training, self.latents, stats, self.recipe.window)
        held_out = Windows.of(self.validation, self.latents, stats, self.recipe.window) if self.validation else None
        objective = WorldModelObjective(self.world, {"norm_stats": self.measured})
        return train(objective, examples, self.recipe.loop, out, validation=held_out, report=report)


def look_up(
    recipe: WorldModelRecipe, demonstrations: Sequence[Demonstration], pictures: Callable[[int], Pictures], latents: Path
) -> WorldModelStage:
    """The stage over these demonstrations.

    Args:
        recipe: its settings.
        demonstrations: all of them; each falls to training or validation by its key.
        pictures: size -> where their pictures come from, one of every step.
        latents: folder that keeps what was encoded.
    """
    if recipe.preset not in PRESETS:
        raise TrainingError(f"unknown preset {recipe.preset!r}; known are {', '.join(PRESETS)}")
    world = checkpoint.untrained(PRESETS[recipe.preset], recipe.loop.seed)
    if recipe.start:
        checkpoint.start_from(world, Path(recipe.start))
    elif PRESETS[recipe.preset].trained_encoder:
        raise TrainingError(f"the preset {recipe.preset} needs trained weights: name them with --start FILE.safetensors")
    training, validation = split(demonstrations)
    found = Latents(latents, world, pictures(world.config.image_size))
    return WorldModelStage(recipe, world, found, training, validation, statistics(training))


def action_bounds(measured: Mapping[str, Any]) -> dict[str, NormStats]:
    """Suite -> how actions are normalised."""
    return {suite: bounds(entry) for suite, entry in measured.items()}
