"""The stage `train sft`: a recipe and demonstrations in, a checkpoint that `--policy` loads out."""

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
from ..data.images import Look
from ..data.readers import read
from ..engine.checkpoints import steps
from ..engine.config import LoopSettings
from ..engine.trainer import Report, train
from ..evaluation import Evaluator
from ..models.init import InitialModel, from_checkpoint, init_nano
from .data import SftExamples, bounds, require_scenes
from .objective import Sft
from .recipe import SftRecipe

EVALUATIONS = "evaluations"


@dataclass(frozen=True)
class Prepared:
    """A run with everything looked up; nothing is trained yet."""

    recipe: SftRecipe
    objective: Sft
    training: SftExamples
    validation: SftExamples | None
    out: Path
    noted: Mapping[str, str] = field(default_factory=dict)
    """What was concluded about data sets of others, as a line of the plan."""

    @property
    def loop(self) -> LoopSettings:
        """How it steps."""
        return self.recipe.loop

    def done(self) -> int:
        """Updates that the folder holds already."""
        return max(steps(self.out), default=0)

    def lines(self) -> list[tuple[str, str]]:
        """What a plan says, name and text."""
        counts = {True: 0, False: 0}
        for parameter in self.objective.model.parameters():
            counts[parameter.requires_grad] += parameter.numel()
        devices = int(os.environ.get("WORLD_SIZE", "1"))  # told by whoever launched several
        seen = self.loop.batch * self.loop.accumulation * devices
        epochs = self.loop.steps * seen / len(self.training)
        held = f"; {len(self.validation)} examples of other episodes validate" if self.validation else ""
        return [
            ("model", f"{counts[True]:,} parameters trained, {counts[False]:,} frozen"),
            ("data", f"{len(self.training)} examples{held}"),
            ("updates", f"{self.loop.steps} of {seen} examples on {devices} device{'s' * (devices > 1)}: {epochs:.1f} epochs"),
            ("folder", str(self.out)),
            *self.noted.items(),
        ]


def prepare(
    recipe: SftRecipe,
    data: Sequence[Path],
    frames: Path,
    out: Path,
    assets: str = "standin",
    *,
    gripper: Gripper | None = None,
    camera: str | None = None,
) -> Prepared:
    """Look everything up. Raises TrainingError, DataError, PolicyError, SuiteError.

    Args:
        recipe: what to do.
        data: folders of demonstrations.
        frames: folder of pictures (`train pictures`); what is missing is drawn, or read, when it is asked for.
        out: folder of the run.
        assets: what pictures are drawn with.
        gripper: see `sources.read`.
        camera: column of LeRobot sets; see `Data.pictures`.
    """
    auxiliary = bool(recipe.objective.detection_weight or recipe.objective.regression_weight)
    found = read(data, gripper=gripper, model=auxiliary)
    if auxiliary:
        require_scenes(found.demonstrations)
    steady = (smoothed(d, recipe.data.smooth) for d in found.demonstrations)
    kept = [d if recipe.data.no_ops else without_noops(d) for d in steady]
    training, validation = split(kept, recipe.data.validation)
    start, stats = _start(recipe, training)
    pictures = found.pictures(frames, Look(size=start.model.config.image_size, every=recipe.data.every), assets, camera)
    chunking = Chunking(start.model.config.chunk or 1, recipe.data.end)

    def examples(demonstrations: Sequence[Demonstration]) -> SftExamples | None:
        if not demonstrations:
            return None
        dataset = Dataset(demonstrations, pictures, stats, chunking, clip=recipe.data.clip)
        return SftExamples(dataset, scenes=auxiliary)

    learnt = examples(training)
    assert learnt is not None
    return Prepared(recipe, Sft(start, recipe.objective, recipe.start.seed), learnt, examples(validation), out, found.noted())


def _start(recipe: SftRecipe, demonstrations: Sequence[Demonstration]) -> tuple[InitialModel, Mapping[str, Any]]:
    """The model with its statistics, and the bounds by suite."""
    wanted = recipe.start
    if wanted.checkpoint is None:
        stats, table = bounds(demonstrations, recipe.data, {})
        fast = FastTokenizer.load(Path(wanted.fast)) if wanted.fast else None
        return init_nano(wanted.nano, wanted.seed, fast, table), stats
    start = from_checkpoint(
        wanted.checkpoint,
        fast=wanted.fast,
        tokenizer=wanted.tokenizer,
        expert=wanted.expert,
        chunk=wanted.chunk,
        tokens=recipe.objective.token_weight > 0,
        seed=wanted.seed,
    )
    stats, table = bounds(demonstrations, recipe.data, start.norm_stats)
    return replace(start, norm_stats={**start.norm_stats, **table}), stats


def run(prepared: Prepared, report: Report | None = None) -> Path:
    """Train; the last checkpoint's folder. Goes on with what is in the run's folder."""
    evaluation = Evaluator(prepared.recipe.evaluation, prepared.out / EVALUATIONS) if prepared.loop.eval_every else None
    return train(
        prepared.objective,
        prepared.training,
        prepared.loop,
        prepared.out,
        validation=prepared.validation,
        evaluate=evaluation,
        report=report,
    )
