"""Preference optimisation as objectives for the training loop: of the flow expert and of the token head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ...policies.nora.model.reference import NoraModel
from ..engine.config import TrainingError
from ..engine.objective import Loss, Objective
from ..models.backbone import Backbone
from .collate import to
from .loss import (
    Cache,
    DpoLoss,
    FrozenReference,
    PromptBatch,
    draw_times,
    flow_dpo,
    flow_terms,
    token_dpo,
    token_log_probabilities,
)

Export = Callable[[Path, Mapping[str, Tensor]], None]
"""Writes a checkpoint with the policy's weights, given by the model's own names, into a folder."""
EXPERT = ("action_expert.", "action_in_proj.", "action_time_mlp_in.", "action_time_mlp_out.", "action_out_proj.")


@dataclass(frozen=True, slots=True)
class FlowPairs:
    """B pairs for the flow."""

    shown: PromptBatch
    chunks: Tensor
    """[2B, N, A] normalised, winners first."""


@dataclass(frozen=True, slots=True)
class TokenPairs:
    """B pairs for the token head: 2B whole sequences, winners first."""

    shown: PromptBatch
    labels: Tensor
    """[2B, P]"""
    cut: float = 0.0
    """Coefficients per chunk that the action tokenizer cannot say, and that the nearest it can took the place of."""


class BatchedPrefix:
    """The batched passes of supervised training (`backbone.py`), for prompts padded on the right."""

    def __init__(self) -> None:
        self._backbones: dict[int, Backbone] = {}

    def __call__(self, model: NoraModel, shown: PromptBatch) -> Cache:
        ids, _, positions, pixels, _ = shown.inputs
        if id(model) not in self._backbones:
            self._backbones[id(model)] = Backbone(model)
        backbone = self._backbones[id(model)].to(ids.device)
        return backbone(ids, positions, pixels.unflatten(0, (len(ids), -1)), logits=False).cache


class Preference(Objective):
    """A policy, its frozen reference, and how they are compared."""

    def __init__(self, policy: NoraModel, settings: DpoSettings, export: Export, *, expert_only: bool = False) -> None:
        """`policy` is trained in place: all of it, or its expert alone. Its reference is what it is now."""
        super().__init__()
        self.policy, self.settings, self._export, self.look = policy, settings, export, BatchedPrefix()
        self.reference = FrozenReference(policy, released=settings.reference == "shared-prefix", backbone=not expert_only)
        for name, parameter in policy.named_parameters():
            parameter.requires_grad_(name.startswith(EXPERT) or not expert_only)

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return next(self.policy.parameters()).device

    def export(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the policy, without its reference."""
        own = {name.removeprefix("policy."): value for name, value in weights.items() if name.startswith("policy.")}
        self._export(folder, own)


class FlowPreference(Preference):
    """Eq. (9) of NORA-1.5, or its released form, as the settings say."""

    def forward(self, batch: FlowPairs, draw: torch.Generator) -> Loss:
        chunks = batch.chunks.to(self.device)
        noise, time = (tensor.to(self.device) for tensor in self.draws(chunks.shape, draw))
        shown = to(batch.shown, self.device)
        terms = flow_terms(self.policy, self.reference, shown, chunks, noise, time, self.look)
        return _reported(flow_dpo(terms, self.settings.beta, self.settings.reduction))

    def draws(self, shape: torch.Size, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noise [2B, N, A] and time [2B] of winners and losers: the same for a pair, or drawn apart as released."""
        repeats = 2 if self.settings.shared_noise else 1
        rows = shape[0] // repeats
        noise = torch.randn((rows, *shape[1:]), generator=draw).repeat(repeats, 1, 1)
        return noise, draw_times((rows,), self.settings.time, draw).repeat(repeats)


class TokenPreference(Preference):
    """Standard preference optimisation of the token head over whole answers."""

    def __init__(self, policy: NoraModel, settings: DpoSettings, export: Export) -> None:
        if settings.reference != "full":
            raise TrainingError("tokens come from the backbone: their reference can only be full")
        super().__init__(policy, settings, export)
        for name, parameter in policy.named_parameters():
            parameter.requires_grad_(not name.startswith(EXPERT))

    def forward(self, batch: TokenPairs, draw: torch.Generator) -> Loss:
        shown, labels = to(batch.shown, self.device), batch.labels.to(self.device)
        ours = token_log_probabilities(self.policy.prefix(*shown.inputs).logits, labels)
        theirs = self.reference.log_probabilities(shown.inputs, labels)
        found = _reported(token_dpo(ours, theirs, self.settings.token_beta))
        return Loss(found.total, {**found.metrics, "cut": found.total.new_tensor(batch.cut)})


def _reported(found: DpoLoss) -> Loss:
    margins = found.margins.detach()
    metrics = {"accuracy": found.accuracy, "margin": margins.mean(), "drift": found.drift}
    return Loss(found.loss, {name: value.detach() for name, value in metrics.items()})


RELEASED_BETA = 250.0
"""Factor of the released code on mean squared errors."""


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """How pairs become a loss. The defaults mend the released code where the paper says otherwise."""

    beta: float = RELEASED_BETA
    """Of the flow's squared errors as reduced by `reduction`. The paper gives no number; the released one is 250 on means."""
    reduction: Literal["mean", "sum"] = "mean"
    """Squared errors of a chunk are averaged (released) or summed (paper)."""
    shared_noise: bool = True
    """One noise and time per pair (paper), or one for winner and one for loser (released)."""
    time: Literal["uniform", "beta"] = "uniform"
    """Distribution of the flow's time: uniform (paper) or as in supervised training (released)."""
    reference: Literal["full", "shared-prefix"] = "full"
    """A frozen copy of the whole model, or of the expert alone, which reads the prefix of the trained backbone (released)."""
    token_beta: float = 0.1
    """Of summed log probabilities, for the FAST head."""


RELEASED = DpoSettings(shared_noise=False, time="beta", reference="shared-prefix")
"""As the released code does it."""
