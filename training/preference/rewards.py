"""Rewards of action chunks: the papers' preference data, Eq. (6) to (8) of NORA-1.5 (arXiv:2511.14659).

Shapes: C candidate chunks for one state, N actions of a chunk, A action size, K latent tokens per frame, E latent width.
The norms of the paper are sums; means are used here, as in the released code, because sums over 360,448 latent numbers and
over 35 action numbers cannot be weighed against each other with 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from ..world_model.model import WorldModel


@dataclass(frozen=True, slots=True)
class Reward:
    """Terms and weights of a reward. The defaults are the paper's Eq. (8) with the last frame as goal."""

    goal: Literal["endgoal", "subgoal", ""] = "endgoal"
    """Frame to compare the world model's prediction with: the episode's last, the one after the chunk, or none."""
    goal_weight: float = 1.0
    action_weight: float = 0.5
    """Weight of the distance to the demonstrated chunk."""
    goal_offset: int = 0
    """Distance of the end goal from the episode's last frame, in frames."""
    unused_actions: int = 0
    """Actions at the chunk's end that the world model does not predict."""

    def frame(self, start: int, chunk: int, last: int) -> int:
        """Index of the goal's frame for a chunk that begins at frame `start` of an episode whose last frame is `last`."""
        return min(start + chunk, last) if self.goal == "subgoal" else max(last - self.goal_offset, 0)


GTA = Reward(goal="", goal_weight=0.0, action_weight=1.0)
"""Eq. (7) alone."""
RELEASED_ACTION_WEIGHT, RELEASED_OFFSET, RELEASED_UNUSED = 0.1, 7, 1
"""Constants of the released code: weight 0.1, eighth frame from the end, four predictions for five actions."""
REWARDS: dict[str, Reward] = {
    "wm-endgoal": Reward("endgoal", action_weight=0.0),
    "wm-subgoal": Reward("subgoal", action_weight=0.0),
    "gta": GTA,
    "wm-endgoal+gta": Reward("endgoal"),
    "wm-subgoal+gta": Reward("subgoal"),
    "released": Reward("endgoal", 1.0, RELEASED_ACTION_WEIGHT, RELEASED_OFFSET, RELEASED_UNUSED),
}
"""Rewards by their names in the papers' ablation (WM: world model, GTA: ground-truth action)."""


def named(name: str, **changes: float) -> Reward:
    """The reward of that name, with single fields changed. Raises KeyError."""
    return replace(REWARDS[name], **changes)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of the candidates; larger is better."""

    total: Tensor
    """[C]"""
    goal: Tensor
    """[C] minus the distance to the goal's latents; zeros without a goal term."""
    action: Tensor
    """[C] minus the distance to the demonstrated chunk."""


def goal_reward(predicted_CKE: Tensor, goal_KE: Tensor) -> Tensor:
    """[C] Eq. (6): minus the mean absolute difference of normalised latents."""
    return -(predicted_CKE - goal_KE).abs().mean(dim=(-2, -1))


def action_reward(candidates_CNA: Tensor, demonstrated_NA: Tensor) -> Tensor:
    """[C] Eq. (7): minus the mean absolute difference of normalised actions."""
    return -(candidates_CNA - demonstrated_NA).abs().mean(dim=(-2, -1))


def score(
    reward: Reward,
    candidates_CNA: Tensor,
    demonstrated_NA: Tensor,
    predicted_CKE: Tensor | None = None,
    goal_KE: Tensor | None = None,
) -> Scores:
    """Eq. (8) for the candidates of one state.

    Args:
        reward: terms and weights.
        candidates_CNA, demonstrated_NA: normalised alike.
        predicted_CKE, goal_KE: needed for a goal term: predicted latents after each candidate (`imagine`), and the normalised
            latents of the goal's frame.
    """
    action = action_reward(candidates_CNA, demonstrated_NA)
    if not reward.goal:
        return Scores(reward.action_weight * action, action.new_zeros(len(action)), action)
    if predicted_CKE is None or goal_KE is None:
        raise ValueError(f"the reward's goal ({reward.goal}) needs predictions and the goal's latents")
    goal = goal_reward(predicted_CKE, goal_KE)
    return Scores(reward.goal_weight * goal + reward.action_weight * action, goal, action)


def imagine(world: WorldModel, current_KE: Tensor, candidates_CNA: Tensor, unused: int = 0) -> Tensor:
    """[C, K, E] latents that the world model predicts after each candidate, without its last `unused` actions."""
    import torch

    with torch.no_grad():
        start = current_KE.expand(len(candidates_CNA), -1, -1)
        return world.rollout(start, candidates_CNA[:, : candidates_CNA.shape[1] - unused])[:, -1]
