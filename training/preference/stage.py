"""The stage `train dpo`: from a policy and labelled states to a policy that prefers the winners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...policies.nora.checkpoint import open_checkpoint
from ...policies.nora.tokenizers import own_fast
from ..engine.config import LoopSettings, TrainingError
from . import pairs
from .objective import DpoSettings
from .pairs import PairExamples

if TYPE_CHECKING:
    from torch import Tensor

    from ..engine.trainer import Report
    from ..models.init import InitialModel
    from .objective import Preference


@dataclass(frozen=True, slots=True)
class DpoRecipe:
    """Settings of the stage."""

    loop: LoopSettings
    dpo: DpoSettings = field(default_factory=DpoSettings)
    head: Literal["flow", "fast"] = "flow"
    """Which head learns: the flow expert, or the token head (the pairs' chunks become FAST tokens)."""
    trained: Literal["full", "expert"] = "full"
    """What learns of a flow policy: everything, or the expert on the backbone as it is."""

    def problem(self) -> str:
        """Why no run can have these settings; empty where one can."""
        if self.head == "fast" and (self.trained != "full" or self.dpo.reference != "full"):
            return "the token head is the backbone's: head fast goes with trained full and reference full"
        return ""


@dataclass(frozen=True)
class DpoStage:
    """Everything looked up; nothing trained."""

    recipe: DpoRecipe
    start: InitialModel
    examples: PairExamples

    def run(self, out: Path, report: Report | None = None) -> Path:
        """Train, going on where it was stopped; the last checkpoint's folder."""
        from ..engine.trainer import train

        return train(self.objective(), self.examples, self.recipe.loop, out, report=report)

    def objective(self) -> Preference:
        """The policy beside its frozen reference."""
        from ..models.export import write_policy
        from .objective import FlowPreference, TokenPreference

        def export(folder: Path, weights: Mapping[str, Tensor]) -> None:
            write_policy(self.start, weights, folder)

        if self.recipe.head == "fast":
            return TokenPreference(self.start.model, self.recipe.dpo, export)
        expert_only = self.recipe.trained == "expert"
        return FlowPreference(self.start.model, self.recipe.dpo, export, expert_only=expert_only)


def look_up(recipe: DpoRecipe, policy: str, labels: Path, reward: str) -> DpoStage:
    """The stage for a policy's checkpoint and the pairs of one reward.

    Raises TrainingError, PolicyError: labels or policy that cannot be used, pairs with equal rewards.
    """
    from ..models.init import open_model
    from .collate import PromptCollator

    if problem := recipe.problem():
        raise TrainingError(problem)
    part = pairs.read(labels)
    checkpoint = open_checkpoint(policy)
    start = open_model(checkpoint, tokens=own_fast(checkpoint) is not None)
    if recipe.head == "flow" and not start.model.config.expert:
        raise TrainingError(f"{policy} has no flow expert; take a recipe with head: fast")
    if recipe.head == "fast" and start.fast is None:
        raise TrainingError(f"{policy} has no fast_tokenizer/, which head: fast needs")
    size = start.model.config.image_size
    if part.images.shape[1] != size:
        raise TrainingError(f"{labels} has pictures of {part.images.shape[1]} px, {policy} wants {size}")
    collator = PromptCollator(start.model.config, start.prompter)
    fast = start.fast if recipe.head == "fast" else None
    return DpoStage(recipe, start, PairExamples.of(part, reward, collator, fast))
