"""Objective of supervised fine-tuning: NORA (cross entropy on FAST tokens) and NORA-1.5 (plus 10 x flow matching).

As released: next-token loss over the action tokens, the end of the turn and the newline after it; the flow's target is noise
minus action at times sampled from Beta(1.5, 1); the expert attends to image, instruction and chat template, never to the
action tokens; its gradient reaches the backbone through keys and values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ...envs.types import Array
from ...policies.fast import FastTokenizer
from ...policies.nora.model.reference import FLOW_WEIGHT, IGNORED, NoraModel, token_loss
from ...policies.nora.pixels import patches
from ...policies.nora.prompt import Prompter, rotary_positions
from ..data.dataset import Batch
from ..engine.objective import Loss, Objective
from ..models.auxiliary import Auxiliary
from ..models.backbone import Backbone, BackboneOutput
from ..models.export import write_policy
from ..models.flow import flow_draws, velocities
from ..models.init import InitialModel


@dataclass(frozen=True, slots=True)
class SftSettings:
    """Settings of the objective; the defaults are NORA-1.5's."""

    token_weight: float = 1.0
    """Weight of the cross entropy; 0 omits the tokens and leaves the token head untrained."""
    flow_weight: float = FLOW_WEIGHT
    """Weight of the flow matching; 0 leaves the expert untrained."""
    flow_samples: int = 1
    """Noise and time samples per image; they share one pass of the backbone."""
    trained: Literal["full", "expert"] = "full"
    gradient_checkpointing: bool = False
    brightness: float = 0.0
    """Augmentation: images are scaled by 1 +- this and shifted by as much of 255, at most."""
    detection_weight: float = 0.0
    """Weight of classifying the object at each image token; training only."""
    regression_weight: float = 0.0
    """Weight of predicting positions and the chunk from the prompt's last token; training only."""


class SftObjective(Objective):
    """Joint objective over a model of the family."""

    def __init__(self, start: InitialModel, settings: SftSettings) -> None:
        """`start` contains the initial model, which is trained in place."""
        super().__init__()
        self.start, self.settings = start, settings
        self.model: NoraModel = start.model
        self.backbone = Backbone(start.model, gradient_checkpointing=settings.gradient_checkpointing)
        self.model.requires_grad_(settings.trained == "full")
        for name, parameter in self.model.named_parameters():
            if not name.startswith("vlm."):
                parameter.requires_grad_(settings.flow_weight > 0)
        auxiliary = settings.detection_weight or settings.regression_weight
        self.auxiliary = (
            Auxiliary(start.model.config, settings.detection_weight, settings.regression_weight) if auxiliary else None
        )

    def forward(self, batch: Batch, draw: torch.Generator) -> Loss:
        """Weighted sum of the losses; metrics: the unweighted losses, and `cut` (see `TextCollator`)."""
        text = TextCollator.of(batch, self.start.prompter, self.start.fast if self.settings.token_weight else None)
        positions = rotary_positions(
            text.ids, text.mask, self.start.prompter.ids.image, self._grids(batch), self.model.config.merge
        )
        images = adjust_brightness(batch.images, self.settings.brightness, draw)
        pixels = patches(images, self.model.config.patch, self.model.config.merge)
        ids, pixels, positions = (torch.from_numpy(x).to(self.device) for x in (text.ids, pixels, positions))
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.settings.trained == "full"):
            seen = self.backbone(ids, positions, pixels, logits=self.settings.token_weight > 0)
        parts = self._parts(seen, batch, text, draw)
        total = torch.stack([weight * value for weight, value in parts.values()]).sum()
        metrics = {name: value.detach() for name, (_, value) in parts.items()}
        return Loss(total, metrics if text.cut is None else {**metrics, "cut": total.new_tensor(text.cut)})

    def _parts(self, seen: BackboneOutput, batch: Batch, text: TextCollator, draw: torch.Generator) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, loss)."""
        parts: dict[str, tuple[float, Tensor]] = {}
        if seen.logits is not None:
            labels = torch.from_numpy(text.labels).to(self.device)
            parts["tokens"] = (self.settings.token_weight, token_loss(seen.logits, labels))
        if self.model.config.expert and self.settings.flow_weight:
            parts["flow"] = (self.settings.flow_weight, self._flow(seen, batch, text, draw))
        if self.auxiliary and batch.targets is not None:
            rows = torch.arange(len(text.ids), device=self.device)
            answer = seen.last[rows, torch.from_numpy(text.prompt_end).to(self.device) - 1]
            parts |= self.auxiliary(seen.image, answer, batch.targets, torch.from_numpy(batch.actions).to(self.device))
        return parts

    def _flow(self, seen: BackboneOutput, batch: Batch, text: TextCollator, draw: torch.Generator) -> Tensor:
        """Mean squared error of the velocity over actions within the episode."""
        noise, time = flow_draws((len(batch.actions), self.settings.flow_samples, *batch.actions.shape[1:]), draw)
        noise, time = noise.to(self.device), time.to(self.device)
        actions, mask, visible = (torch.from_numpy(x).to(self.device) for x in (batch.actions, batch.mask, text.prompt_mask))
        at = time[..., None, None]
        noisy = at * noise + (1 - at) * actions[:, None]
        error = velocities(self.model, noisy, time, seen.cache, visible) - (noise - actions[:, None])
        weight = mask[:, None, :, None].expand_as(error)
        return (error.square() * weight).sum() / weight.sum().clamp(min=1)

    def _grids(self, batch: Batch) -> Array:
        side = self.model.config.image_size // self.model.config.patch
        return np.tile([1, side, side], (len(batch.images), 1))

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write a policy: weights, configuration, tokenizers, statistics."""
        own = {name.removeprefix("model."): weight for name, weight in weights.items() if name.startswith("model.")}
        write_policy(self.start, own, folder, tokens=self.settings.token_weight > 0)


def adjust_brightness(images: Array, strength: float, draw: torch.Generator) -> Array:
    """[B, size, size, 3] uint8 images with randomly scaled and shifted grey levels; `strength` 0 changes nothing."""
    if not strength:
        return images
    scale, shift = (strength * (2 * torch.rand(2, len(images), 1, 1, 1, generator=draw) - 1)).numpy()
    return np.clip(images * (1 + scale) + 255 * shift, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class TextCollator:
    """Collated token ids of a batch, padded on the right."""

    ids: Array
    mask: Array
    """[B, P] bool: not padding."""
    prompt_end: Array
    """[B] tokens of the prompt."""
    labels: Array
    """[B, P] token ids of the action tokens, IGNORED elsewhere."""
    cut: float | None
    """Coefficients per chunk outside the action tokenizer's range; None without action tokens."""

    @property
    def prompt_mask(self) -> Array:
        """[B, P] bool: tokens that the expert attends to."""
        return np.arange(self.ids.shape[1]) < self.prompt_end[:, None]

    @classmethod
    def of(cls, batch: Batch, prompter: Prompter, fast: FastTokenizer | None) -> TextCollator:
        """Collate prompts and, with `fast`, their action tokens."""
        prompts = [prompter.prompt(text) for text in batch.instructions]
        labelled = fast.label(batch.actions) if fast else None
        answers = [_answer(prompter, tokens) for tokens in labelled.tokens] if labelled else [[] for _ in prompts]
        cut = float(labelled.cut.mean()) if labelled else None
        rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        ids = np.full((len(rows), max(map(len, rows))), prompter.ids.pad, np.int64)
        labels = np.full(ids.shape, IGNORED, np.int64)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            ids[row, : len(rows[row])] = rows[row]
            labels[row, len(prompt) : len(rows[row])] = answer
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        return cls(ids, mask, np.array([len(prompt) for prompt in prompts]), labels, cut)


def _answer(prompter: Prompter, tokens: list[int]) -> list[int]:
    """Action tokens, end of turn, newline."""
    newline: Any = prompter.backend.encode("\n", add_special_tokens=False).ids
    return [*(prompter.ids.first_action + token for token in tokens), prompter.ids.end_of_turn, *newline]
