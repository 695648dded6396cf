"""The NORA models as released: a Qwen2.5-VL backbone, and for NORA-1.5 a flow expert beside it.

The plain implementation: reference for parity, for the inference engine and for the batched passes of training. Module names
are those of the released NORA-1.5 checkpoints. Shapes: B rows, P prompt length, N actions of a chunk, A action size, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding, Qwen2_5_VLVisionRotaryEmbedding

from ..collate import IGNORED
from ..config import NoraConfig, euler_times
from .expert import Expert, time_embedding

FLOW_WEIGHT = 10.0
"""Weight of the flow loss beside the token loss, as released."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """Backbone outputs for image and instruction."""

    logits: Tensor
    """[B, P, vocabulary]"""
    cache: list[tuple[Tensor, Tensor]]
    """Per layer, keys (rotated) and values [B, key-value heads, P, head size]."""


@dataclass(frozen=True, slots=True)
class JointLoss:
    """The training objective of NORA-1.5 and its parts."""

    total: Tensor
    tokens: Tensor
    flow: Tensor
    """Weighted."""


class NoraModel(nn.Module):
    """Backbone and, where the configuration has one, expert."""

    def __init__(self, config: NoraConfig) -> None:
        super().__init__()
        if problem := config.problem():
            raise ValueError(problem)
        self.config = config
        self.vlm = Qwen2_5_VLForConditionalGeneration._from_config(config.transformers_config(), attn_implementation="sdpa")
        if config.expert:
            hidden = config.expert.hidden_size
            self.action_expert = Expert(config)
            self.action_in_proj = nn.Linear(config.action_size, hidden)
            self.action_time_mlp_in = nn.Linear(2 * hidden, hidden)
            self.action_time_mlp_out = nn.Linear(hidden, hidden)
            self.action_out_proj = nn.Linear(hidden, config.action_size)

    def restore_rotary(self) -> None:
        """Recompute the rotary frequencies, which no checkpoint contains, after building on the meta device."""
        config: Any = self.vlm.config
        self.vlm.model.language_model.rotary_emb = Qwen2_5_VLRotaryEmbedding(config.text_config)
        self.vlm.model.visual.rotary_pos_emb = Qwen2_5_VLVisionRotaryEmbedding(config.vision_config)

    def prefix(self, input_ids: Tensor, attention_mask: Tensor, positions: Tensor, pixels: Tensor, grid: Tensor) -> Prefix:
        """One pass of the backbone.

        Args:
            input_ids: [B, P], with padding on either side.
            attention_mask: [B, P], 0 on padding.
            positions: [3, B, P] rotary positions; see `prompt.rotary_positions`.
            pixels: [patches of all images, values per patch].
            grid: [images, 3] patches in time, height, width.
        """
        out = self.vlm(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=positions,
            pixel_values=pixels,
            image_grid_thw=grid,
            use_cache=True,
        )
        return Prefix(out.logits, [(layer.keys, layer.values) for layer in out.past_key_values.layers])

    def embed_actions(self, noisy_BNA: Tensor, time_B: Tensor) -> Tensor:
        """[B, N, H] input of the expert: noisy actions and time through the input MLP."""
        actions = self.action_in_proj(noisy_BNA.to(self.action_in_proj.weight.dtype))
        time = time_embedding(time_B, actions.shape[-1]).to(actions.dtype)[:, None].expand_as(actions)
        return self.action_time_mlp_out(F.silu(self.action_time_mlp_in(torch.cat([actions, time], dim=-1))))

    def velocity(self, noisy_BNA: Tensor, time_B: Tensor, cache: list[tuple[Tensor, Tensor]], prefix_mask_BP: Tensor) -> Tensor:
        """[B, N, A] float32 velocity of the flow at that time, from data towards noise."""
        hidden = self.action_expert(self.embed_actions(noisy_BNA, time_B), cache, prefix_mask_BP)
        return self.action_out_proj(hidden.to(self.action_out_proj.weight.dtype)).float()

    def sample(self, noise_BNA: Tensor, cache: list[tuple[Tensor, Tensor]], prefix_mask_BP: Tensor, steps: int = 10) -> Tensor:
        """[B, N, A] float32 normalised actions: Euler steps from noise at time 1 to data at time 0."""
        x = noise_BNA
        for time in euler_times(steps):
            x = x - self.velocity(x, x.new_full((len(x),), time), cache, prefix_mask_BP) / steps
        return x

    def joint_loss(
        self, prefix: Prefix, labels_BP: Tensor, prefix_mask_BP: Tensor, actions: Tensor, noise: Tensor, time: Tensor
    ) -> JointLoss:
        """Token loss plus weighted flow loss; gradients reach the backbone through the cached keys and values.

        Args:
            prefix: of the whole sequence, action tokens included.
            labels_BP: token ids, `IGNORED` elsewhere.
            prefix_mask_BP: bool; False on padding and from the first action token on.
            actions, noise: [B, N, A]; time: [B].
        """
        tokens = token_loss(prefix.logits, labels_BP)
        noisy = interpolate(actions, noise, time)
        flow = FLOW_WEIGHT * F.mse_loss(self.velocity(noisy, time, prefix.cache, prefix_mask_BP), noise - actions)
        return JointLoss(tokens + flow, tokens, flow)


def interpolate(actions: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """[..., N, A] point of the flow at a time [...]: noise at 1, actions at 0."""
    at = time[..., None, None]
    return at * noise + (1 - at) * actions


def token_loss(logits: Tensor, labels_BP: Tensor) -> Tensor:
    """Mean cross entropy of every labelled token given those before it; in float32."""
    return F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels_BP[:, 1:].flatten(), ignore_index=IGNORED)
