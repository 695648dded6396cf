"""Objective of supervised fine-tuning: NORA (cross entropy on FAST tokens) and NORA-1.5 (plus 10 x flow matching).

As released: next-token loss over the action tokens, the end of the turn and the newline after it; the flow's target is noise
minus action at times sampled from Beta(1.5, 1); the expert attends to image, instruction and chat template, never to the
action tokens; its gradient reaches the backbone through keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...policies.fast import FastTokenizer
from ...policies.nora.collate import IGNORED, Prompts, collate_prompts
from ...policies.nora.config import NoraConfig
from ...policies.nora.model.reference import FLOW_WEIGHT, NoraModel, interpolate
from ...policies.nora.pixels import patches
from ...policies.nora.prompt import Prompter
from ..data.dataset import Batch
from ..data.scene_targets import FACTS, KINDS, SceneTargets
from ..engine.config import require_field
from ..engine.objective import Loss, Objective
from ..models.backbone import Backbone, BackboneOutput, sample_noise_and_times, velocities
from ..models.init import InitialModel, write_policy
from .augmentation import augment


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
    """Augmentation of training images: scaled by 1 +- this and shifted by as much of 255, at most (`augmentation.py`)."""
    detection_weight: float = 0.0
    """Weight of classifying the object at each image token; training only."""
    regression_weight: float = 0.0
    """Weight of predicting positions and the chunk from the prompt's last token; training only."""

    def validate(self) -> None:
        """Raise TrainingError for values that no run can have."""
        weights = ("token_weight", "flow_weight", "detection_weight", "regression_weight")
        for name in weights:
            self._check(name, 0 <= getattr(self, name) < math.inf, "be a number of at least 0")
        self._check("flow_weight", any(getattr(self, name) for name in weights), "be above 0 where all other weights are 0")
        self._check("flow_samples", self.flow_samples >= 1, "be at least 1")
        self._check("brightness", 0 <= self.brightness <= 1, "lie between 0 and 1")

    def _check(self, name: str, valid: bool, rule: str) -> None:
        require_field(f"objective.{name}", getattr(self, name), valid, rule)


class Auxiliary(nn.Module):
    """Auxiliary losses that train a small vision encoder: linear heads, used in training only, and no part of the policy.

    The demonstrations contain the simulator's state, so object positions are known. Each image token predicts which object is at
    its place; the prompt's last token predicts the positions of gripper, object and goal, and the action chunk. Both give a far
    steadier gradient than the flow's noise. Shapes: B rows, H hidden.
    """

    def __init__(self, config: NoraConfig, detection_weight: float, regression_weight: float, seed: int) -> None:
        """`seed` initialises the heads, from a generator of their own."""
        super().__init__()
        hidden, generator = config.text["hidden_size"], torch.Generator().manual_seed(seed)
        self.weights = (detection_weight, regression_weight)
        self.side = round(config.image_tokens**0.5)
        self.kinds = _linear(hidden, KINDS, generator)
        self.offsets = _linear(hidden, 2 * KINDS, generator)
        self.facts = _linear(hidden, FACTS, generator)
        self.chunk = _linear(hidden, (config.chunk or 1) * config.action_size, generator)

    def forward(self, image: Tensor, last: Tensor, targets: SceneTargets, actions: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, loss): `detection`, `place` (RMS in image tokens), `facts`, `chunk` (mean absolute errors).

        Args:
            image: [B, image tokens, H].
            last: [B, H] of the prompt's last token.
            targets: of the batch.
            actions: [B, N, action size] normalised chunks.
        """
        detect, regress = self.weights
        out: dict[str, tuple[float, Tensor]] = {}
        if detect:
            detection, place = self._detect(image, targets)
            out |= {"detection": (detect, detection), "place": (detect, place)}
        if regress:
            facts = torch.from_numpy(targets.facts).to(last.device)
            predicted = self.facts(last).float()[:, : facts.shape[1]]
            known = ~facts.isnan()
            chunk = self.chunk(last).float().view_as(actions)
            out["facts"] = (regress, _loss(F.l1_loss, predicted[known], facts[known]))
            out["chunk"] = (regress, F.l1_loss(chunk, actions))
        return out

    def _detect(self, image: Tensor, targets: SceneTargets) -> tuple[Tensor, Tensor]:
        """Cross entropy of each thing's token among all, and the absolute error of its place within it, in tokens."""
        places = torch.from_numpy(targets.places).to(image.device) * self.side
        rows, things = ((places >= 0) & (places < self.side)).all(-1).nonzero(as_tuple=True)
        kinds = torch.from_numpy(targets.kinds).to(image.device)[rows, things]
        places = places[rows, things]
        cell = places.floor().clamp(0, self.side - 1)
        token = (cell[:, 0] * self.side + cell[:, 1]).long()
        logits = self.kinds(image).float()[rows, :, kinds]
        offsets = self.offsets(image).float().unflatten(-1, (KINDS, 2))[rows, token, kinds]
        return _loss(F.cross_entropy, logits, token), _loss(F.l1_loss, offsets, places - cell - 0.5)


def _loss(function: Callable[[Tensor, Tensor], Tensor], predicted: Tensor, target: Tensor) -> Tensor:
    """Mean loss; zero, instead of NaN, for a batch without any target."""
    return function(predicted, target) if len(target) else predicted.sum()


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer initialised as `nn.Linear` does, which itself samples from torch's global generator."""
    layer, bound = cast(nn.Linear, nn.utils.skip_init(nn.Linear, inputs, outputs)), inputs**-0.5
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


class SftObjective(Objective):
    """Joint objective over a model of the family."""

    def __init__(self, start: InitialModel, settings: SftSettings, seed: int = 0) -> None:
        """`start` contains the initial model, which is trained in place; `seed` initialises the auxiliary heads."""
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

    def forward(self, batch: Batch, generator: torch.Generator) -> Loss:
        """Weighted sum of the losses; metrics: the unweighted losses, and `cut` (see `collate_text`)."""
        fast = self.start.fast if self.settings.token_weight else None
        text, cut = collate_text(batch, self.start.prompter, fast, self.model.config)
        images = augment(batch.images, self.settings, generator) if self.training else batch.images
        pixels = patches(images, self.model.config.patch, self.model.config.merge)
        ids, pixels, positions = (torch.from_numpy(x).to(self.device) for x in (text.ids, pixels, text.positions))
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.settings.trained == "full"):
            labels = torch.from_numpy(text.labels).to(self.device) if self.settings.token_weight else None
            seen = self.backbone(ids, positions, pixels, logits=False if labels is None else before_labels(labels))
        parts = self._parts(seen, batch, text, generator)
        total = torch.stack([weight * value for weight, value in parts.values()]).sum()
        metrics = {name: value.detach() for name, (_, value) in parts.items()}
        return Loss(total, metrics if cut is None else {**metrics, "cut": total.new_tensor(cut)})

    def _parts(
        self, seen: BackboneOutput, batch: Batch, text: Prompts, generator: torch.Generator
    ) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, loss)."""
        parts: dict[str, tuple[float, Tensor]] = {}
        if seen.logits is not None:
            labels = torch.from_numpy(text.labels).to(self.device)[:, 1:]
            tokens = F.cross_entropy(seen.logits.float(), labels[labels != IGNORED])
            parts["tokens"] = (self.settings.token_weight, tokens)
        if self.model.config.expert and self.settings.flow_weight:
            parts["flow"] = (self.settings.flow_weight, self._flow(seen, batch, text, generator))
        if self.auxiliary and batch.targets is not None:
            rows = torch.arange(len(text.ids), device=self.device)
            answer = seen.last[rows, torch.from_numpy(text.prompt_lengths).to(self.device) - 1]
            parts |= self.auxiliary(seen.image, answer, batch.targets, torch.from_numpy(batch.actions).to(self.device))
        return parts

    def _flow(self, seen: BackboneOutput, batch: Batch, text: Prompts, generator: torch.Generator) -> Tensor:
        """Mean squared error of the velocity over actions within the episode."""
        noise, time = sample_noise_and_times(
            (len(batch.actions), self.settings.flow_samples, *batch.actions.shape[1:]), generator
        )
        noise, time = noise.to(self.device), time.to(self.device)
        actions, mask, visible = (torch.from_numpy(x).to(self.device) for x in (batch.actions, batch.mask, text.prompt_mask))
        noisy = interpolate(actions[:, None], noise, time)
        error = velocities(self.model, noisy, time, seen.cache, visible) - (noise - actions[:, None])
        weight = mask[:, None, :, None].expand_as(error)
        return (error.square() * weight).sum() / weight.sum().clamp(min=1)

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write a policy: weights, configuration, tokenizers, statistics."""
        own = {name.removeprefix("model."): weight for name, weight in weights.items() if name.startswith("model.")}
        write_policy(self.start, own, folder, tokens=self.settings.token_weight > 0)


def before_labels(labels_BP: Tensor) -> Tensor:
    """[B, P] bool: True at positions whose next token is labelled. Most are not: image, instruction, padding."""
    return F.pad(labels_BP[:, 1:] != IGNORED, (0, 1), value=False)


def collate_text(
    batch: Batch, prompter: Prompter, fast: FastTokenizer | None, config: NoraConfig
) -> tuple[Prompts, float | None]:
    """(Prompts and answers, coefficients per chunk outside the action tokenizer's range); no answers where `fast` is None."""
    prompts = [prompter.prompt(text) for text in batch.instructions]
    if fast is None:
        return collate_prompts(prompts, prompter.ids, config), None
    labelled = fast.label(batch.actions)
    answers = [prompter.answer(tokens) for tokens in labelled.tokens]
    return collate_prompts(prompts, prompter.ids, config, answers=answers), float(labelled.cut.mean())
