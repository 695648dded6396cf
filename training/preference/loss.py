"""Direct preference optimisation of both heads: of the flow, Eq. (9) of NORA-1.5 (arXiv:2511.14659), and of action tokens.

Shapes: B pairs, N actions of a chunk, A action size, P tokens. A pair's four terms (chosen and rejected, policy and reference)
share one time and one noise by default, as in the paper; the released code samples them separately.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...policies.nora.collate import IGNORED
from ...policies.nora.model.reference import NoraModel, interpolate


@dataclass(frozen=True, slots=True)
class DpoLoss:
    """The objective and its metrics."""

    loss: Tensor
    margins: Tensor
    """[B] arguments of the sigmoid: positive where the policy prefers the chosen chunk more than its reference does."""
    drift: Tensor
    """Distance of the policy from its reference: mean squared difference of velocities on chosen and rejected chunks (flow),
    mean log ratio of the target tokens (tokens). Zero at the start; grows like a KL divergence."""

    @property
    def accuracy(self) -> Tensor:
        """Share of pairs with a positive margin."""
        return (self.margins > 0).float().mean()


def preference_loss(margins: Tensor) -> Tensor:
    """Mean of -log sigmoid over pairs."""
    return -F.logsigmoid(margins).mean()


def squared_error(velocity_BNA: Tensor, target_BNA: Tensor, reduction: str) -> Tensor:
    """[B] squared error of each chunk, over its actions and their numbers."""
    squares = (velocity_BNA - target_BNA).pow(2).flatten(1)
    return squares.mean(1) if reduction == "mean" else squares.sum(1)


@dataclass(frozen=True, slots=True)
class FlowTerms:
    """Velocities of one pair batch, chosen first: [2B, N, A]."""

    policy: Tensor
    reference: Tensor
    target: Tensor


def flow_dpo(terms: FlowTerms, beta: float, reduction: str) -> DpoLoss:
    """Eq. (9): the policy's error falls further below the reference's on chosen than on rejected chunks."""
    policy = squared_error(terms.policy, terms.target, reduction)
    reference = squared_error(terms.reference.detach(), terms.target, reduction)
    chosen, rejected = (policy - reference).chunk(2)
    margins = -beta * (chosen - rejected)
    return DpoLoss(preference_loss(margins), margins, F.mse_loss(terms.policy.detach(), terms.reference))


def token_log_probabilities(logits: Tensor, labels_BP: Tensor) -> Tensor:
    """[B] log probability of each row's labelled tokens, summed, in float32."""
    targets = labels_BP[:, 1:]
    each = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    return -each.sum(1)


def token_dpo(policy_2B: Tensor, reference_2B: Tensor, beta: float) -> DpoLoss:
    """The objective of Rafailov et al. (arXiv:2305.18290) from log probabilities of chosen, then rejected chunks."""
    ratio = policy_2B - reference_2B.detach()
    chosen, rejected = ratio.chunk(2)
    margins = beta * (chosen - rejected)
    return DpoLoss(preference_loss(margins), margins, -ratio.detach().mean())


Inputs = tuple[Tensor, ...]
"""Arguments of `NoraModel.prefix`."""
Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Images and prompts of B rows."""

    inputs: Inputs
    mask_BP: Tensor
    """bool; False on padding and from the first answer token on."""

    def pair_mask(self) -> Tensor:
        """[2B, P] for chosen and rejected chunks."""
        return torch.cat([self.mask_BP, self.mask_BP])


CacheFunction = Callable[[NoraModel, PromptBatch], Cache]
"""Runs a model's backbone: per layer keys and values [B, key-value heads, P, head size]."""


def prefix_cache(model: NoraModel, prompts: PromptBatch) -> Cache:
    """The model's own pass, which takes padding on either side."""
    return model.prefix(*prompts.inputs).cache


class FrozenReference(nn.Module):
    """The policy before preference training, as a frozen copy."""

    def __init__(self, policy: NoraModel, *, released: bool = False, backbone: bool = True) -> None:
        """Copy the policy.

        Args:
            policy: as it is now.
            released: copy only the expert and its output layer, as the released code does; their inputs come from the trained
                backbone and input layers.
            backbone: whether the backbone is copied; false where the policy's is not trained and serves both.
        """
        super().__init__()
        self.released, self.backbone = released, backbone and not released
        if released:
            self.action_expert, self.action_out_proj = frozen_copy(policy.action_expert), frozen_copy(policy.action_out_proj)
        else:
            self.model = frozen_copy(policy, None if backbone else policy.vlm)

    @torch.no_grad()
    def velocity(
        self, prompts: PromptBatch, policy: NoraModel, policy_cache: Cache, x: Tensor, time: Tensor, compute_cache: CacheFunction
    ) -> Tensor:
        """[2B, N, A] velocities of the reference.

        Args:
            prompts: inputs of both models.
            policy, policy_cache: the trained model and its cache for `prompts`, for the parts that were not copied.
            x, time: [2B, N, A] noisy actions and [2B] their times.
            compute_cache: runs the copy's own backbone.
        """
        cache = repeat_for_pair(compute_cache(self.model, prompts) if self.backbone else policy_cache)
        if not self.released:
            return self.model.velocity(x, time, cache, prompts.pair_mask())
        hidden = self.action_expert(policy.embed_actions(x, time), cache, prompts.pair_mask())
        return self.action_out_proj(hidden.to(self.action_out_proj.weight.dtype)).float()

    @torch.no_grad()
    def log_probabilities(self, inputs: Inputs, labels: Tensor) -> Tensor:
        """[rows] of the labelled tokens. Only a full copy has its own token head."""
        return token_log_probabilities(self.model.prefix(*inputs).logits, labels)


def frozen_copy(module: Any, without: nn.Module | None = None) -> Any:
    """A copy that never trains, without the part that is named."""
    memo: dict[int, Any] = {} if without is None else {id(without): nn.Identity()}
    twin: nn.Module = copy.deepcopy(module, memo)
    return twin.eval().requires_grad_(False)


def repeat_for_pair(cache: Cache) -> Cache:
    """Keys and values for chosen and rejected chunks over the same prefixes."""
    return [(torch.cat([keys, keys]), torch.cat([values, values])) for keys, values in cache]


def flow_terms(
    policy: NoraModel,
    reference: FrozenReference,
    prompts: PromptBatch,
    pairs: Tensor,
    noise: Tensor,
    time: Tensor,
    compute_cache: CacheFunction = prefix_cache,
) -> FlowTerms:
    """Velocities of policy and reference.

    Args:
        policy, reference: the models.
        prompts: inputs of both, B rows.
        pairs, noise: [2B, N, A], chosen first; time: [2B].
        compute_cache: runs a backbone.
    """
    cache = compute_cache(policy, prompts)
    x = interpolate(pairs, noise, time)
    velocity = policy.velocity(x, time, repeat_for_pair(cache), prompts.pair_mask())
    return FlowTerms(velocity, reference.velocity(prompts, policy, cache, x, time, compute_cache), noise - pairs)
