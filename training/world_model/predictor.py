"""The action-conditioned predictor of V-JEPA 2-AC: latents of past frames and actions -> latents of the next frames.

Shapes: B batch, T frames, K latent tokens per frame, E latent width, A action size, S state size, H predictor width, h heads,
d head size, N = T * (2 + K) tokens. Source: V-JEPA 2 (arXiv:2506.09985) and its released code, whose rotary frequencies are
tiled while neighbouring channels are paired, as published weights were trained. Names are those of the released weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import WorldModelConfig

EPS = 1e-6
ROPE_BASE = 10_000.0
CONDITIONS = 2
"""Tokens in front of each frame's patches: its action and its state."""


class Attention(nn.Module):
    """Self-attention under a mask, queries and keys rotated by frame, row and column."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BNH: Tensor, rope: tuple[Tensor, Tensor], mask_NN: Tensor) -> Tensor:
        q, k, v = self.qkv(x_BNH).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(rotate(q, *rope), rotate(k, *rope), v, attn_mask=mask_NN)
        return self.proj(out.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two layers with GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPS)
        self.mlp = MLP(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), rope, mask)
        return x + self.mlp(self.norm2(x))


class Predictor(nn.Module):
    """Output frame i is the prediction of frame i + 1, from frames, actions and states 0 .. i."""

    def __init__(self, config: WorldModelConfig) -> None:
        super().__init__()
        sizes = config.predictor
        self.grid, self.head_size = config.grid, sizes.width // sizes.heads
        self.predictor_embed = nn.Linear(config.width, sizes.width)
        self.action_encoder = nn.Linear(sizes.action_size, sizes.width)
        self.state_encoder = nn.Linear(sizes.state_size, sizes.width)
        self.predictor_blocks = nn.ModuleList(Block(sizes.width, sizes.heads, sizes.mlp_ratio) for _ in range(sizes.layers))
        self.predictor_norm = nn.LayerNorm(sizes.width, EPS)
        self.predictor_proj = nn.Linear(sizes.width, config.width)

    def forward(self, latents_BTKE: Tensor, actions_BTA: Tensor, states_BTS: Tensor) -> Tensor:
        """[B, T, K, E] predictions, not normalised."""
        frames = latents_BTKE.shape[1]
        conditions = torch.stack([self.action_encoder(actions_BTA), self.state_encoder(states_BTS)], dim=2)
        x = torch.cat([conditions, self.predictor_embed(latents_BTKE)], dim=2)
        tokens, x = x.shape[2], x.flatten(1, 2)
        rope = rotary(frames, self.grid, self.head_size, x.device)
        mask = block_causal_mask(frames, tokens, x.device)
        for block in self.predictor_blocks:
            x = block(x, rope, mask)
        patches = x.unflatten(1, (frames, tokens))[:, :, CONDITIONS:]
        return self.predictor_proj(self.predictor_norm(patches))


def block_causal_mask(frames: int, tokens: int, device: torch.device | str = "cpu") -> Tensor:
    """[N, N] bool: a token attends to its own frame and earlier ones. `tokens` per frame, conditions included."""
    frame = torch.arange(frames, device=device).repeat_interleave(tokens)
    return frame[:, None] >= frame[None]


def rotary(frames: int, grid: int, head_size: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Cosine and sine [N, d]: a third of the channels each rotate by frame, row and column, the rest not at all.

    Action and state tokens rotate by frame only.
    """
    third = 2 * (head_size // 3 // 2)
    frame = torch.arange(frames, device=device).repeat_interleave(CONDITIONS + grid * grid)
    place = torch.arange(CONDITIONS + grid * grid, device=device).repeat(frames) - CONDITIONS
    patch = place >= 0
    axes = (frame, torch.where(patch, place // grid, 0), torch.where(patch, place % grid, 0))
    exponents = torch.arange(third // 2, dtype=torch.float32, device=device) / (third / 2)
    turns = [axis[:, None] * (1.0 / ROPE_BASE**exponents).repeat(2) for axis in axes]
    angles = F.pad(torch.cat(turns, dim=1), (0, head_size - 3 * third))
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """[..., N, d] with channel 2i paired to 2i + 1."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return (x * cos + torch.stack([-b, a], dim=-1).flatten(-2) * sin).to(x.dtype)
