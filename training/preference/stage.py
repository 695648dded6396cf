"""Preference optimisation: a policy and labelled states in, a checkpoint out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...policies.nora.checkpoint import open_checkpoint
from ...policies.nora.tokenizers import own_fast
from ..engine.config import TrainConfig, TrainingError
from . import pairs
from .objective import DpoSettings
from .pairs import PairExamples

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine.trainer import ProgressCallback
    from ..models.init import InitialModel
    from .objective import Preference


@dataclass(frozen=True, slots=True)
class DpoRecipe:
    """Recipe of `train dpo`."""

    loop: TrainConfig
    dpo: DpoSettings = field(default_factory=DpoSettings)
    head: Literal["flow", "fast"] = "flow"
    """Trained head: the flow expert, or the token head (the pairs' chunks become FAST tokens)."""
    trained: Literal["full", "expert"] = "full"
    """Trained weights of a flow policy: all, or the expert's alone."""

    def validate(self) -> None:
        """Raise TrainingError for settings that exclude each other."""
        if self.head == "fast" and (self.trained != "full" or self.dpo.reference != "full"):
            raise TrainingError("head: fast needs trained: full and reference: full, because the token head is the backbone's")


@dataclass(frozen=True)
class DpoStage:
    """A prepared run; nothing is trained."""

    recipe: DpoRecipe
    start: InitialModel
    examples: PairExamples

    def run(self, out: Path, report: ProgressCallback | None = None) -> Path:
        """Train or resume; the folder of the last checkpoint."""
        from ..engine.trainer import train

        return train(self.objective(), self.examples, self.recipe.loop, out, report=report)

    def objective(self) -> Preference:
        """The policy with its frozen reference."""
        from ..models.export import write_policy
        from .objective import FlowPreference, TokenPreference

        def export(folder: Path, weights: Mapping[str, Tensor]) -> None:
            write_policy(self.start, weights, folder)

        if self.recipe.head == "fast":
            return TokenPreference(self.start.model, self.recipe.dpo, export)
        expert_only = self.recipe.trained == "expert"
        return FlowPreference(self.start.model, self.recipe.dpo, export, expert_only=expert_only)


def look_up(recipe: DpoRecipe, policy: str, labels: Path, reward: str) -> DpoStage:
    """Prepare a run on the pairs of one reward.

    Raises TrainingError, PolicyError: unusable labels or policy, pairs with equal rewards.
    """
    from ..models.init import open_model
    from .collate import PromptCollator

    recipe.validate()
    part = pairs.read(labels)
    checkpoint = open_checkpoint(policy)
    start = open_model(checkpoint, tokens=own_fast(checkpoint) is not None)
    if recipe.head == "flow" and not start.model.config.expert:
        raise TrainingError(f"{policy} has no flow expert. Add --head fast")
    if recipe.head == "fast" and start.fast is None:
        raise TrainingError(f"{policy} has no fast_tokenizer/, which --head fast needs")
    size = start.model.config.image_size
    if part.images.shape[1] != size:
        raise TrainingError(f"{labels} has images of {part.images.shape[1]} px, {policy} needs {size}")
    collator = PromptCollator(start.model.config, start.prompter)
    fast = start.fast if recipe.head == "fast" else None
    return DpoStage(recipe, start, PairExamples.of(part, reward, collator, fast))
