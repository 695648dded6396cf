"""Supervised fine-tuning: NORA (cross entropy on FAST tokens) and NORA-1.5 (cross entropy + 10 x flow matching).

As released (docs/training.md has the differences): next-token loss over the action tokens, the end of the turn and the
newline after it; the flow's target is noise minus action at times drawn from Beta(1.5, 1); the expert sees picture,
instruction and chat template, never the action tokens; its gradient reaches the backbone through keys and values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...envs.types import Array
from ...policies.fast import FastTokenizer
from ...policies.nora.collate import Prompts, collate_prompts
from ...policies.nora.config import NoraConfig
from ...policies.nora.model.reference import FLOW_WEIGHT, NoraModel, interpolate, token_loss
from ...policies.nora.pixels import patches
from ...policies.nora.prompt import Prompter
from ..data.scene_targets import Targets
from ..engine.objective import Loss, Objective
from ..models.auxiliary import Auxiliary
from ..models.backbone import Backbone, BackboneOutput
from ..models.export import write_policy
from ..models.flow import sample_noise_and_times, velocities
from ..models.init import InitialModel


@dataclass(frozen=True, slots=True)
class SftBatch:
    """Pictures, what was said, what an expert did."""

    images: Array
    """[B, size, size, 3] uint8 as the policy will see them."""
    instructions: Sequence[str]
    actions: Array
    """[B, N, action size] float32, normalised."""
    mask: Array
    """[B, N] bool: actions that are of the demonstration, not beyond its end."""
    targets: Targets | None = None
    """For the auxiliary loss; None where the data has no states."""


@dataclass(frozen=True, slots=True)
class SftSettings:
    """The objective's options; the defaults are those of NORA-1.5."""

    token_weight: float = 1.0
    """Of the cross entropy; 0 leaves the tokens out, and the token head untrained."""
    flow_weight: float = FLOW_WEIGHT
    """Of the flow matching; 0 leaves the expert as it is."""
    draws: int = 1
    """Noises and times per picture; they share one pass of the backbone."""
    trained: Literal["full", "expert"] = "full"
    gradient_checkpointing: bool = False
    brightness: float = 0.0
    """Pictures are multiplied by up to 1 +- this, and as much is added, in grey levels of 255."""
    detection_weight: float = 0.0
    """Of telling image token by image token which object is there; training only."""
    regression_weight: float = 0.0
    """Of telling positions and the chunk from the prompt's last token; training only."""


class Sft(Objective):
    """The joint objective over a model of the family."""

    def __init__(self, start: InitialModel, settings: SftSettings, seed: int = 0) -> None:
        """`start` is the checkpoint to start from, its model included; `seed` initialises the auxiliary heads."""
        super().__init__()
        self.start, self.settings = start, settings
        self.model: NoraModel = start.model
        self.backbone = Backbone(start.model, gradient_checkpointing=settings.gradient_checkpointing)
        self.model.requires_grad_(settings.trained == "full")
        for name, parameter in self.model.named_parameters():
            if not name.startswith("vlm."):
                parameter.requires_grad_(settings.flow_weight > 0)
        weights = (settings.detection_weight, settings.regression_weight)
        self.auxiliary = Auxiliary(start.model.config, *weights, seed) if any(weights) else None

    def forward(self, batch: SftBatch, draw: torch.Generator) -> Loss:
        """Weighted sum of the parts; metrics: `tokens`, `flow` and auxiliary losses, unweighted, `cut` (see `collate_text`)."""
        fast = self.start.fast if self.settings.token_weight else None
        text, cut = collate_text(batch, self.start.prompter, fast, self.model.config)
        images = _brightened(batch.images, self.settings.brightness, draw)
        pixels = patches(images, self.model.config.patch, self.model.config.merge)
        ids, pixels, positions = (torch.from_numpy(x).to(self.device) for x in (text.ids, pixels, text.positions))
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.settings.trained == "full"):
            seen = self.backbone(ids, positions, pixels, logits=self.settings.token_weight > 0)
        parts = self._parts(seen, batch, text, draw)
        total = torch.stack([weight * value for weight, value in parts.values()]).sum()
        metrics = {name: value.detach() for name, (_, value) in parts.items()}
        return Loss(total, metrics if cut is None else {**metrics, "cut": total.new_tensor(cut)})

    def _parts(
        self, seen: BackboneOutput, batch: SftBatch, text: Prompts, draw: torch.Generator
    ) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, loss)."""
        parts: dict[str, tuple[float, Tensor]] = {}
        if seen.logits is not None:
            labels = torch.from_numpy(text.labels).to(self.device)
            parts["tokens"] = (self.settings.token_weight, token_loss(seen.logits, labels))
        if self.model.config.expert and self.settings.flow_weight:
            parts["flow"] = (self.settings.flow_weight, self._flow(seen, batch, text, draw))
        if self.auxiliary and batch.targets is not None:
            rows = torch.arange(len(text.ids), device=self.device)
            answer = seen.last[rows, torch.from_numpy(text.prompt_lengths).to(self.device) - 1]
            parts |= self.auxiliary(seen.image, answer, batch.targets, torch.from_numpy(batch.actions).to(self.device))
        return parts

    def _flow(self, seen: BackboneOutput, batch: SftBatch, text: Prompts, draw: torch.Generator) -> Tensor:
        """Mean squared error of the velocity over the demonstration's actions."""
        noise, time = sample_noise_and_times((len(batch.actions), self.settings.draws, *batch.actions.shape[1:]), draw)
        noise, time = noise.to(self.device), time.to(self.device)
        actions, mask, visible = (torch.from_numpy(x).to(self.device) for x in (batch.actions, batch.mask, text.prompt_mask))
        noisy = interpolate(actions[:, None], noise, time)
        error = velocities(self.model, noisy, time, seen.cache, visible) - (noise - actions[:, None])
        weight = mask[:, None, :, None].expand_as(error)
        return (error.square() * weight).sum() / weight.sum().clamp(min=1)

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """A policy: weights, configuration, tokenizers, statistics."""
        own = {name.removeprefix("model."): weight for name, weight in weights.items() if name.startswith("model.")}
        write_policy(self.start, own, folder, tokens=self.settings.token_weight > 0)


def _brightened(images: Array, strength: float, draw: torch.Generator) -> Array:
    if not strength:
        return images
    scale, shift = (strength * (2 * torch.rand(2, len(images), 1, 1, 1, generator=draw) - 1)).numpy()
    return np.clip(images * (1 + scale) + 255 * shift, 0, 255).astype(np.uint8)


def collate_text(
    batch: SftBatch, prompter: Prompter, fast: FastTokenizer | None, config: NoraConfig
) -> tuple[Prompts, float | None]:
    """(Prompts and answers, coefficients per chunk that the action tokenizer cannot say); no answers where `fast` is None."""
    prompts = [prompter.prompt(text) for text in batch.instructions]
    if fast is None:
        return collate_prompts(prompts, prompter.ids, config), None
    labelled = fast.label(batch.actions)
    answers = [prompter.answer(tokens) for tokens in labelled.tokens]
    return collate_prompts(prompts, prompter.ids, config, answers=answers), float(labelled.cut.mean())
