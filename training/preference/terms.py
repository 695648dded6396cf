"""The four terms of a preference pair from the models: one prefix pass serves winner and loser.

Shapes as in `dpo.py`; 2B is winners, then losers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...policies.nora.model import NoraModel
from .dpo import FlowTerms, noisy, token_log_probabilities

Inputs = tuple[Tensor, ...]
"""What `NoraModel.prefix` takes."""
Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Shown:
    """Pictures and prompts of B rows."""

    inputs: Inputs
    mask_BP: Tensor
    """bool; False on padding and from the first action token on."""

    def mask_twice(self) -> Tensor:
        """[2B, P] for winners and losers."""
        return torch.cat([self.mask_BP, self.mask_BP])


Look = Callable[[NoraModel, Shown], Cache]
"""How a model's backbone is asked: per layer keys and values [B, key-value heads, P, head size]."""


def plain(model: NoraModel, shown: Shown) -> Cache:
    """The model's own pass, which takes padding on either side."""
    return model.prefix(*shown.inputs).cache


class Frozen(nn.Module):
    """The policy before preference training, as a copy that never trains."""

    def __init__(self, policy: NoraModel, *, released: bool = False, backbone: bool = True) -> None:
        """What is copied.

        Args:
            policy: as it is now.
            released: only the expert and its output layer, as the released code has it; they read what the trained backbone
                and input layers make.
            backbone: whether the copy has a backbone of its own; false where the policy's is not trained and serves both.
        """
        super().__init__()
        self.released, self.backbone = released, backbone and not released
        if released:
            self.action_expert, self.action_out_proj = frozen(policy.action_expert), frozen(policy.action_out_proj)
        else:
            self.model = frozen(policy, None if backbone else policy.vlm)

    @torch.no_grad()
    def velocity(self, shown: Shown, policy: NoraModel, theirs: Cache, x: Tensor, time: Tensor, look: Look) -> Tensor:
        """[2B, N, A] velocities of the reference.

        Args:
            shown: what both models see.
            policy, theirs: the trained model and what it made of `shown`, for what the copy has not of its own.
            x, time: [2B, N, A] noisy actions and [2B] their times.
            look: how a backbone of the copy's own is asked.
        """
        cache = twice(look(self.model, shown) if self.backbone else theirs)
        if not self.released:
            return self.model.velocity(x, time, cache, shown.mask_twice())
        hidden = self.action_expert(policy.embed_actions(x, time), cache, shown.mask_twice())
        return self.action_out_proj(hidden.to(self.action_out_proj.weight.dtype)).float()

    @torch.no_grad()
    def log_probabilities(self, inputs: Inputs, labels: Tensor) -> Tensor:
        """[rows] of the labelled tokens. Only a full copy has a token head of its own."""
        return token_log_probabilities(self.model.prefix(*inputs).logits, labels)


def frozen(module: Any, without: nn.Module | None = None) -> Any:
    """A copy that never trains, one of its parts left out where named."""
    memo: dict[int, Any] = {} if without is None else {id(without): nn.Identity()}
    twin: nn.Module = copy.deepcopy(module, memo)
    return twin.eval().requires_grad_(False)


def twice(cache: Cache) -> Cache:
    """Keys and values for winners and losers over the same prefixes."""
    return [(torch.cat([keys, keys]), torch.cat([values, values])) for keys, values in cache]


def flow_terms(
    policy: NoraModel, reference: Frozen, shown: Shown, pairs: Tensor, noise: Tensor, time: Tensor, look: Look = plain
) -> FlowTerms:
    """Velocities of policy and reference.

    Args:
        policy, reference: the models.
        shown: what they see, B rows.
        pairs, noise: [2B, N, A], winners first; time: [2B].
        look: how a backbone is asked.
    """
    cache = look(policy, shown)
    x = noisy(pairs, noise, time)
    ours = policy.velocity(x, time, twice(cache), shown.mask_twice())
    return FlowTerms(ours, reference.velocity(shown, policy, cache, x, time, look), noise - pairs)
