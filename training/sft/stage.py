"""Supervised fine-tuning, from demonstrations to a checkpoint: `main`. The files on its path, in order:

1. `cli/sft.py` with `engine/config.py`: command line and YAML -> `SftRecipe`.
2. `data/readers.py` over `data/demonstrations.py`: folders -> demonstrations, smoothed, split.
3. `models/init.py`: checkpoint or seed -> model, tokenizers; it also writes the policy into each checkpoint.
4. `data/images.py` and `data/dataset.py`: demonstrations -> batches of images, instructions and normalised action chunks
   (`data/scene_targets.py`: targets of the auxiliary losses).
5. `sft/objective.py` over `models/backbone.py`: batch -> loss.
6. `engine/trainer.py` over `engine/objective.py` (order and prefetching of batches) and `engine/checkpoints.py`: updates,
   metrics, checkpoints.
7. `evaluation.py`: checkpoint -> success rate, every `loop.eval_every` updates.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...envs.errors import PolicyError
from ...policies.adapters import NormStats
from ...policies.fast import FastTokenizer
from ...policies.nora.action_stats import Statistics
from ..data.conventions import Gripper
from ..data.dataset import Chunking, Dataset, PadActions, bounds_of, statistics
from ..data.demonstrations import DataError, Demonstration
from ..data.images import ImageSpec
from ..data.readers import read, smoothed, split, without_noops
from ..data.scene_targets import require_scenes
from ..data.stored_images import DecodedImages
from ..engine.checkpoints import steps
from ..engine.config import TrainConfig, folder_of, require_field
from ..engine.devices import training_device
from ..engine.trainer import ProgressCallback, train
from ..evaluation import EvaluationSettings, Evaluator
from ..models.init import InitialModel, NanoSizes, from_checkpoint, init_nano
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
class DataSettings:
    """Which examples, and how their actions are scaled."""

    frame_stride: int = 2
    """Control steps from one image to the next."""
    validation: float = 0.05
    """Share of the episodes for the validation loss."""
    pad_actions: PadActions = "repeat"
    """Actions after an episode's last one; see `dataset.Chunking`. Padded actions are masked in the flow loss."""
    keep_noops: bool = True
    """Keep steps without motion; false drops them as the papers do."""
    label_smoothing_steps: float = 0.0
    """Standard deviation, in steps, of Gaussian smoothing of the labels along time; 0 does not smooth."""
    statistics: Literal["suite", "shared", "start"] = "suite"
    """Bounds of the actions: of each suite, of all together, or those of the initial checkpoint."""
    floor: float = 0.02
    """Smallest half range of an action component."""
    scale_gripper: bool = False
    """Gripper opening as -1 and 1 instead of 0 and 1."""
    clip: bool = True
    """Clip normalised actions to [-1, 1] (RLDS training); NORA-1.5's loader does not."""
    weights: dict[str, float] = field(default_factory=dict)
    """Mixture: name of a data set's folder -> factor of its share; shares are proportional to examples times factor, 1 for sets
    without an entry. Empty: all examples of all sets count alike."""
    image_cache: bool = True
    """Keep the images of all examples in the cache; false decodes stored images anew for each example and writes nothing."""
    decode_threads: int = 1
    """Threads that read the images of a batch."""
    lower_case: bool = False
    """Instructions in lower case, as NORA's RLDS training has them."""

    def validate(self) -> None:
        """Raise TrainingError for values that no run can have."""
        self._check("frame_stride", self.frame_stride >= 1, "be at least 1")
        self._check("validation", 0 <= self.validation < 1, "lie between 0 and 1 (exclusive)")
        self._check("decode_threads", self.decode_threads >= 1, "be at least 1")
        valid = all(0 <= weight < math.inf for weight in self.weights.values()) and any([1, *self.weights.values()])
        self._check("weights", valid, "be numbers of at least 0")
        for name in ("label_smoothing_steps", "floor"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "be a number of at least 0")

    def _check(self, name: str, valid: bool, rule: str) -> None:
        require_field(f"data.{name}", getattr(self, name), valid, rule)


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


def main(
    recipe: SftRecipe,
    data: Sequence[Path],
    frames: Path,
    out: Path,
    assets: str = "standin",
    *,
    gripper: Gripper | None = None,
    camera: str | None = None,
    dry_run: bool = False,
    announce: Callable[[SftRun], None] = lambda run: None,
    report: ProgressCallback | None = None,
) -> SftRun:
    """Train, resuming from the run's folder. Raises TrainingError, DataError, PolicyError, SuiteError.

    Args:
        recipe: settings of the run.
        data: folders of demonstrations.
        frames: image cache (`nora-bench data render`); missing images are rendered or read on first use.
        out: folder of the run.
        assets: asset pack for rendering, or several; see `images.open_sim_images`.
        gripper: see `readers.read`.
        camera: of LeRobot and RLDS sets; see `Data.images`.
        dry_run: write nothing and return before training.
        announce: called with the prepared run before training.
        report: called with the metrics every `log_every` updates.
    """
    # Data: demonstrations, filtered, in training and validation episodes.
    source = read(data, gripper=gripper, model=recipe.auxiliary)
    if recipe.auxiliary:
        require_scenes(source.demonstrations)
    smooth = (smoothed(d, recipe.data.label_smoothing_steps) for d in source.demonstrations)
    kept = [d if recipe.data.keep_noops else without_noops(d) for d in smooth]
    kept = [replace(d, instruction=d.instruction.lower()) if recipe.data.lower_case else d for d in kept]
    training, validation = split(kept, recipe.data.validation)

    # Model: weights, tokenizers, and the statistics that scale its actions.
    start, stats = _initial_model(recipe, training)
    config = start.model.config

    # Examples: image, instruction, normalised action chunk.
    spec = ImageSpec(size=config.image_size, frame_stride=recipe.data.frame_stride)
    cache = source.images(frames, spec, assets, camera)
    images = cache if recipe.data.image_cache else DecodedImages(cache.of)
    chunking = Chunking(config.chunk or 1, recipe.data.pad_actions)
    options = {"clip": recipe.data.clip, "scenes": recipe.auxiliary, "threads": recipe.data.decode_threads}
    examples = Dataset(training, images, stats, chunking, weights=recipe.data.weights, **options)
    held_out = Dataset(validation, images, stats, chunking, **options) if validation else None

    # Objective: batch -> loss.
    objective = SftObjective(start, recipe.objective, recipe.start.seed).to(training_device())
    run = SftRun(recipe, objective, examples, held_out, out, source.noted())
    announce(run)
    if dry_run:
        return run

    # Training: updates, checkpoints, and the evaluation of some of them.
    evaluate = Evaluator(recipe.evaluation, out / EVALUATIONS) if recipe.loop.eval_every else None
    train(objective, examples, recipe.loop, out, validation=held_out, evaluate=evaluate, report=report)
    return run


@dataclass(frozen=True)
class SftRun:
    """A prepared run."""

    recipe: SftRecipe
    objective: SftObjective
    training: Dataset
    validation: Dataset | None
    out: Path
    notes: Mapping[str, str] = field(default_factory=dict)
    """Conventions inferred from third-party data sets, as a line of the plan."""

    @property
    def loop(self) -> TrainConfig:
        """Configuration of the training loop."""
        return self.recipe.loop

    @property
    def last_checkpoint(self) -> Path:
        """Folder of the checkpoint after the last update."""
        return folder_of(self.out, self.loop.steps)

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
            *self._mixture(examples * self.loop.steps),
            ("folder", str(self.out)),
            *self.notes.items(),
        ]

    def _mixture(self, examples: int) -> list[tuple[str, str]]:
        """Line about the mixture, of a run with so many examples; none without weights."""
        parts = [
            f"{member.name}: {len(member.indices)} examples, {100 * member.share:.1f} %, "
            f"{examples * member.share / len(member.indices):.1f} epochs"
            for member in self.training.mixture
        ]
        return [("mixture", "; ".join(parts))] if parts else []


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
        device=str(training_device()),
    )
    stats, table = bounds(demonstrations, recipe.data, start.norm_stats)
    return replace(start, norm_stats={**start.norm_stats, **table}), stats


POOLED = "all"


def bounds(
    demonstrations: Sequence[Demonstration], settings: DataSettings, start: Mapping[str, Any]
) -> tuple[dict[str, NormStats], dict[str, Any]]:
    """(suite -> bounds, table for `norm_stats.json`).

    Args:
        demonstrations: those to learn from.
        settings: how the actions are scaled.
        start: statistics of the checkpoint that training starts from.
    """
    suites = sorted({d.suite for d in demonstrations})
    if settings.statistics == "start":
        if not start:
            raise DataError(f"the checkpoint has no statistics for {', '.join(suites)}; take statistics: suite or shared")
        known = Statistics(start, None)
        try:
            return {suite: known.of(suite) for suite in suites}, dict(start)
        except PolicyError as error:
            raise DataError(
                f"the checkpoint has no statistics for its demonstrations: {error}; take statistics: suite or shared"
            ) from None
    if settings.statistics == "shared":
        pooled = statistics([replace(d, suite=POOLED) for d in demonstrations])[POOLED]
        measured = dict.fromkeys(suites, pooled)
    else:
        measured = statistics(demonstrations)
    stats = {suite: _bounds(entry, settings) for suite, entry in measured.items()}
    return stats, {suite: _entry(measured[suite], used) for suite, used in stats.items()}


def _bounds(entry: Mapping[str, Any], settings: DataSettings) -> NormStats:
    used = bounds_of(entry, floor=settings.floor)
    if not settings.scale_gripper:
        return used
    return NormStats(np.append(used.low[:-1], 0.0), np.append(used.high[:-1], 1.0), np.ones(len(used.low), bool))


def _entry(measured: Mapping[str, Any], used: NormStats) -> dict[str, Any]:
    action = {**measured["action"], "q01": used.low.tolist(), "q99": used.high.tolist(), "mask": used.mask.tolist()}
    return {**measured, "action": action}
