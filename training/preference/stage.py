"""Preference optimisation: settings, objectives of both heads, and the run, from policy and labelled states to a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ...policies.nora.checkpoint import open_checkpoint
from ...policies.nora.model.reference import NoraModel
from ...policies.nora.tokenizers import own_fast
from ...policies.nora.weights import EXPERT
from ..engine.config import TrainConfig, TrainingError, require_field
from ..engine.devices import training_device
from ..engine.objective import Loss, Objective
from ..engine.trainer import ProgressCallback, train
from ..models.backbone import Backbone, sample_times
from ..models.init import InitialModel, open_model, write_policy
from . import pairs
from .loss import Cache, DpoLoss, FrozenReference, PromptBatch, flow_dpo, flow_terms, token_dpo, token_log_probabilities
from .pairs import FlowPairs, PairExamples, PromptCollator, TokenPairs, to

RELEASED_BETA = 250.0
"""Factor of the released code on mean squared errors."""


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """Loss of the pairs. The defaults follow the paper where the released code differs."""

    beta: float = RELEASED_BETA
    """Factor on the flow's errors as reduced by `reduction`. The paper gives no number; the released one is 250 on means."""
    reduction: Literal["mean", "sum"] = "mean"
    """Squared errors of a chunk are averaged (released) or summed (paper)."""
    shared_noise: bool = True
    """One noise and time per pair (paper), or one for each chunk (released)."""
    time: Literal["uniform", "beta"] = "uniform"
    """Distribution of the flow's time: uniform (paper) or as in supervised training (released)."""
    reference: Literal["full", "shared-prefix"] = "full"
    """A frozen copy of the whole model, or of the expert alone, which reads the prefix of the trained backbone (released)."""
    token_beta: float = 0.1
    """Factor on summed log probabilities, for the FAST head."""

    def validate(self) -> None:
        """Raise TrainingError for values that no run can have."""
        for name in ("beta", "token_beta"):
            require_field(f"dpo.{name}", value := getattr(self, name), 0 < value < math.inf, "be a number above 0")


RELEASED = DpoSettings(shared_noise=False, time="beta", reference="shared-prefix")
"""The released code's settings."""


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


Export = Callable[[Path, Mapping[str, Tensor]], None]
"""Writes a checkpoint with the policy's weights, by the model's own names, into a folder."""


class BatchedPrefix:
    """The batched passes of supervised training (`backbone.py`), for prompts padded on the right."""

    def __init__(self) -> None:
        self._backbones: dict[int, Backbone] = {}

    def __call__(self, model: NoraModel, prompts: PromptBatch) -> Cache:
        ids, _, positions, pixels, _ = prompts.inputs
        if id(model) not in self._backbones:
            self._backbones[id(model)] = Backbone(model)
        backbone = self._backbones[id(model)].to(ids.device)
        return backbone(ids, positions, pixels.unflatten(0, (len(ids), -1)), logits=False).cache


class Preference(Objective):
    """A policy and its frozen reference."""

    def __init__(self, policy: NoraModel, settings: DpoSettings, export: Export, *, expert_only: bool = False) -> None:
        """`policy` is trained in place: all of it, or its expert alone. The reference is a copy of it as it is now."""
        super().__init__()
        self.policy, self.settings, self._export, self.compute_cache = policy, settings, export, BatchedPrefix()
        self.reference = FrozenReference(policy, released=settings.reference == "shared-prefix", backbone=not expert_only)
        for name, parameter in policy.named_parameters():
            parameter.requires_grad_(name.startswith(EXPERT) or not expert_only)

    @property
    def device(self) -> torch.device:
        """The policy's device."""
        return next(self.policy.parameters()).device

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the policy, without its reference."""
        own = {name.removeprefix("policy."): value for name, value in weights.items() if name.startswith("policy.")}
        self._export(folder, own)


class FlowPreference(Preference):
    """Eq. (9) of NORA-1.5, or its released form, as the settings say."""

    def forward(self, batch: FlowPairs, generator: torch.Generator) -> Loss:
        chunks = batch.chunks.to(self.device)
        noise, time = (tensor.to(self.device) for tensor in self.sample_noise_and_times(chunks.shape, generator))
        prompts = to(batch.prompts, self.device)
        terms = flow_terms(self.policy, self.reference, prompts, chunks, noise, time, self.compute_cache)
        return _reported(flow_dpo(terms, self.settings.beta, self.settings.reduction))

    def sample_noise_and_times(self, shape: torch.Size, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noise [2B, N, A] and time [2B] of chosen and rejected chunks: the same for a pair, or separate as released."""
        repeats = 2 if self.settings.shared_noise else 1
        rows = shape[0] // repeats
        noise = torch.randn((rows, *shape[1:]), generator=generator).repeat(repeats, 1, 1)
        return noise, sample_times((rows,), self.settings.time, generator).repeat(repeats)


class TokenPreference(Preference):
    """Standard preference optimisation of the token head over whole token sequences."""

    def __init__(self, policy: NoraModel, settings: DpoSettings, export: Export) -> None:
        if settings.reference != "full":
            raise TrainingError("tokens come from the backbone: their reference can only be full")
        super().__init__(policy, settings, export)
        for name, parameter in policy.named_parameters():
            parameter.requires_grad_(not name.startswith(EXPERT))

    def forward(self, batch: TokenPairs, generator: torch.Generator) -> Loss:
        prompts, labels = to(batch.prompts, self.device), batch.labels.to(self.device)
        policy = token_log_probabilities(self.policy.prefix(*prompts.inputs).logits, labels)
        reference = self.reference.log_probabilities(prompts.inputs, labels)
        loss = _reported(token_dpo(policy, reference, self.settings.token_beta))
        return Loss(loss.total, {**loss.metrics, "cut": loss.total.new_tensor(batch.cut)})


def _reported(loss: DpoLoss) -> Loss:
    margins = loss.margins.detach()
    metrics = {"accuracy": loss.accuracy, "margin": margins.mean(), "drift": loss.drift}
    return Loss(loss.loss, {name: value.detach() for name, value in metrics.items()})


@dataclass(frozen=True)
class DpoStage:
    """A prepared run; nothing is trained."""

    recipe: DpoRecipe
    start: InitialModel
    examples: PairExamples

    def run(self, out: Path, report: ProgressCallback | None = None) -> Path:
        """Train or resume; the folder of the last checkpoint."""
        return train(self.objective(), self.examples, self.recipe.loop, out, report=report)

    def objective(self) -> Preference:
        """The policy with its frozen reference."""

        def export(folder: Path, weights: Mapping[str, Tensor]) -> None:
            write_policy(self.start, weights, folder)

        if self.recipe.head == "fast":
            return TokenPreference(self.start.model, self.recipe.dpo, export)
        expert_only = self.recipe.trained == "expert"
        return FlowPreference(self.start.model, self.recipe.dpo, export, expert_only=expert_only)


def prepare(recipe: DpoRecipe, policy: str, labels: Path | Sequence[Path], reward: str) -> DpoStage:
    """Prepare a run on the pairs of one reward, from one folder of labels or several.

    Raises TrainingError, PolicyError: unusable labels or policy, pairs with equal rewards.
    """
    recipe.validate()
    folders = [labels] if isinstance(labels, Path) else [*labels]
    part = pairs.joined([pairs.read(folder) for folder in folders])
    checkpoint = open_checkpoint(policy)
    start = open_model(checkpoint, tokens=own_fast(checkpoint) is not None, device=str(training_device()))
    if recipe.head == "flow" and not start.model.config.expert:
        raise TrainingError(f"{policy} has no flow expert. Add --head fast")
    if recipe.head == "fast" and start.fast is None:
        raise TrainingError(f"{policy} has no fast_tokenizer/, which --head fast needs")
    size = start.model.config.image_size
    if part.images.shape[1] != size:
        raise TrainingError(f"{', '.join(map(str, folders))} has images of {part.images.shape[1]} px, {policy} needs {size}")
    collator = PromptCollator(start.model.config, start.prompter)
    fast = start.fast if recipe.head == "fast" else None
    return DpoStage(recipe, start, PairExamples.of(part, reward, collator, fast))
