"""Supervised fine-tuning end to end: recipe, data, model, objective, trainer, evaluation.

`prepare` takes the steps up to the objective and writes nothing; `SftRun.train` runs the trainer with its evaluation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...policies.fast import FastTokenizer
from ..data.conventions import Gripper
from ..data.dataset import Chunking, Dataset, split
from ..data.demonstrations import Demonstration
from ..data.filters import smoothed, without_noops
from ..data.images import ImageSpec
from ..data.readers import read
from ..data.scene_targets import require_scenes
from ..engine.checkpoints import steps
from ..engine.config import TrainConfig
from ..engine.trainer import ProgressCallback, train
from ..evaluation import EvaluationSettings, Evaluator
from ..models.init import InitialModel, NanoSizes, from_checkpoint, init_nano
from .data import DataSettings, bounds
from .objective import SftObjective, SftSettings

EVALUATIONS = "evaluations"


@dataclass(frozen=True, slots=True)
class StartSettings:
    """The initial model."""

    checkpoint: str | None = None
    """Path or hub id; None initialises a nano model."""
    nano: NanoSizes = field(default_factory=NanoSizes)
    """Sizes of a newly initialised model."""
    expert: int | None = None
    """Width of a new flow expert for a checkpoint without one."""
    chunk: int | None = None
    """Override of the checkpoint's chunk size."""
    fast: str | None = None
    """FAST tokenizer, folder or hub id. None: the checkpoint's own, else the released one; a new model needs one for tokens."""
    tokenizer: str | None = None
    seed: int = 0
    """Seed for initialisation."""


@dataclass(frozen=True, slots=True)
class SftRecipe:
    """One supervised fine-tuning; YAML files in `training/recipes/` give the values."""

    loop: TrainConfig
    start: StartSettings = field(default_factory=StartSettings)
    data: DataSettings = field(default_factory=DataSettings)
    objective: SftSettings = field(default_factory=SftSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    @property
    def auxiliary(self) -> bool:
        """Whether an auxiliary loss needs scene targets."""
        return bool(self.objective.detection_weight or self.objective.regression_weight)


def prepare(
    recipe: SftRecipe,
    data: Sequence[Path],
    frames: Path,
    out: Path,
    assets: str = "standin",
    *,
    gripper: Gripper | None = None,
    camera: str | None = None,
) -> SftRun:
    """Load data, model and objective. Raises TrainingError, DataError, PolicyError, SuiteError.

    Args:
        recipe: settings of the run.
        data: folders of demonstrations.
        frames: image cache (`nora-bench data render`); missing images are rendered or read on first use.
        out: folder of the run.
        assets: asset pack for rendering, or several; see `images.open_sim_images`.
        gripper: see `readers.read`.
        camera: column of LeRobot sets; see `Data.images`.
    """
    # Data: demonstrations, filtered, in training and validation episodes.
    source = read(data, gripper=gripper, model=recipe.auxiliary)
    if recipe.auxiliary:
        require_scenes(source.demonstrations)
    smooth = (smoothed(d, recipe.data.label_smoothing_steps) for d in source.demonstrations)
    kept = [d if recipe.data.keep_noops else without_noops(d) for d in smooth]
    training, validation = split(kept, recipe.data.validation)
    # Model: weights, tokenizers, and the statistics that scale its actions.
    start, stats = _initial_model(recipe, training)
    config = start.model.config
    # Examples: image, instruction, normalised action chunk.
    spec = ImageSpec(size=config.image_size, frame_stride=recipe.data.frame_stride)
    images = source.images(frames, spec, assets, camera)
    chunking = Chunking(config.chunk or 1, recipe.data.pad_actions)

    def dataset(demonstrations: Sequence[Demonstration]) -> Dataset:
        return Dataset(demonstrations, images, stats, chunking, clip=recipe.data.clip, scenes=recipe.auxiliary)

    objective = SftObjective(start, recipe.objective, recipe.start.seed)
    held_out = dataset(validation) if validation else None
    return SftRun(recipe, objective, dataset(training), held_out, out, source.noted())


@dataclass(frozen=True)
class SftRun:
    """A prepared run; nothing is trained yet."""

    recipe: SftRecipe
    objective: SftObjective
    training: Dataset
    validation: Dataset | None
    out: Path
    notes: Mapping[str, str] = field(default_factory=dict)
    """Conventions inferred from third-party data sets, as a line of the plan."""

    def train(self, progress: ProgressCallback | None = None) -> Path:
        """Train, resuming from the run's folder; the folder of the last checkpoint."""
        evaluator = Evaluator(self.recipe.evaluation, self.out / EVALUATIONS) if self.loop.eval_every else None
        return train(
            self.objective,
            self.training,
            self.loop,
            self.out,
            validation=self.validation,
            evaluate=evaluator,
            report=progress,
        )

    @property
    def loop(self) -> TrainConfig:
        """Configuration of the training loop."""
        return self.recipe.loop

    def finished_steps(self) -> int:
        """Updates up to the newest checkpoint in the folder."""
        return max(steps(self.out), default=0)

    def lines(self) -> list[tuple[str, str]]:
        """The plan: (name, text) of each line."""
        counts = {True: 0, False: 0}
        for parameter in self.objective.model.parameters():
            counts[parameter.requires_grad] += parameter.numel()
        devices = int(os.environ.get("WORLD_SIZE", "1"))  # set by `accelerate launch`
        examples = self.loop.examples_per_update * devices
        epochs = self.loop.steps * examples / len(self.training)
        validation = f"; {len(self.validation)} of other episodes for validation" if self.validation else ""
        return [
            ("model", f"{counts[True]:,} parameters trained, {counts[False]:,} frozen"),
            ("data", f"{len(self.training)} examples{validation}"),
            (
                "updates",
                f"{self.loop.steps} of {examples} examples on {devices} device{'s' * (devices > 1)}: {epochs:.1f} epochs",
            ),
            ("folder", str(self.out)),
            *self.notes.items(),
        ]


def _initial_model(recipe: SftRecipe, demonstrations: Sequence[Demonstration]) -> tuple[InitialModel, Mapping[str, Any]]:
    """The initial model with its action statistics, and suite -> bounds."""
    settings = recipe.start
    if settings.checkpoint is None:
        stats, table = bounds(demonstrations, recipe.data, {})
        fast = FastTokenizer.load(Path(settings.fast)) if settings.fast else None
        return init_nano(settings.nano, settings.seed, fast, table), stats
    start = from_checkpoint(
        settings.checkpoint,
        fast=settings.fast,
        tokenizer=settings.tokenizer,
        expert=settings.expert,
        chunk=settings.chunk,
        tokens=recipe.objective.token_weight > 0,
        seed=settings.seed,
    )
    stats, table = bounds(demonstrations, recipe.data, start.norm_stats)
    return replace(start, norm_stats={**start.norm_stats, **table}), stats
