"""Direct preference optimisation of both heads: of the flow, Eq. (9) of NORA-1.5 (arXiv:2511.14659), and of action tokens.

Shapes: B pairs, N actions of a chunk, A action size, P tokens. A pair's four terms (winner and loser, policy and reference)
share one time and one noise by default, as the paper writes it; the released code draws them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...policies.nora.model import IGNORED


@dataclass(frozen=True, slots=True)
class DpoLoss:
    """The objective and what to watch beside it."""

    loss: Tensor
    margins: Tensor
    """[B] arguments of the sigmoid: positive where the policy prefers the winner more than its reference does."""
    drift: Tensor
    """How far the policy has moved from its reference: mean squared difference of velocities on winners and losers (flow),
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
    """Velocities of one pair batch, winners first: [2B, N, A]."""

    policy: Tensor
    reference: Tensor
    target: Tensor


def flow_dpo(terms: FlowTerms, beta: float, reduction: str) -> DpoLoss:
    """Eq. (9): the policy is to lower the winner's error further below its reference's than the loser's."""
    policy = squared_error(terms.policy, terms.target, reduction)
    reference = squared_error(terms.reference.detach(), terms.target, reduction)
    winner, loser = (policy - reference).chunk(2)
    margins = -beta * (winner - loser)
    return DpoLoss(preference_loss(margins), margins, F.mse_loss(terms.policy.detach(), terms.reference))


def noisy(actions_BNA: Tensor, noise_BNA: Tensor, time_B: Tensor) -> Tensor:
    """[B, N, A] what the expert is shown at that time: noise at 1, actions at 0."""
    return time_B[:, None, None] * noise_BNA + (1 - time_B[:, None, None]) * actions_BNA


def token_log_probabilities(logits: Tensor, labels_BP: Tensor) -> Tensor:
    """[B] log probability of each row's labelled tokens, summed, in float32."""
    targets = labels_BP[:, 1:]
    each = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    return -each.sum(1)


def token_dpo(policy_2B: Tensor, reference_2B: Tensor, beta: float) -> DpoLoss:
    """The objective of Rafailov et al. (arXiv:2305.18290) from log probabilities of winners, then losers."""
    ratio = policy_2B - reference_2B.detach()
    winner, loser = ratio.chunk(2)
    margins = beta * (winner - loser)
    return DpoLoss(preference_loss(margins), margins, -ratio.detach().mean())


def draw_times(shape: tuple[int, ...], kind: str, draw: torch.Generator) -> Tensor:
    """Times of the flow: uniform over (0, 1), or 0.999 * Beta(1.5, 1) + 0.001 as in supervised training."""
    uniform = torch.rand(shape, generator=draw)
    return uniform if kind == "uniform" else 0.999 * uniform ** (1 / 1.5) + 0.001
