"""The action expert of NORA-1.5: a small transformer whose layer l attends to backbone layer l's cached keys and values.

Shapes: B batch, N actions of a chunk, P prefix tokens, H hidden, h heads, d head size. Source: NORA-1.5 (arXiv:2511.14659)
and its released code, whose plain rotary embedding (base 10,000, positions 0..N-1 whatever the prefix) is kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..config import ExpertConfig, NoraConfig
from .functional import Rope, attend, decoder_block

ROPE_BASE = 10_000.0
PERIODS = (4e-3, 4.0)
"""Shortest and longest period of the time embedding."""


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32 and cast back before the weight is applied."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)


class Attention(nn.Module):
    """Projections of the grouped-query attention from action tokens to prefix and action tokens."""

    def __init__(self, expert: ExpertConfig, kv_heads: int, head_size: int) -> None:
        super().__init__()
        hidden, queries, keys = expert.hidden_size, expert.num_attention_heads * head_size, kv_heads * head_size
        self.head_dim = head_size
        self.q_proj = nn.Linear(hidden, queries)
        self.k_proj = nn.Linear(hidden, keys)
        self.v_proj = nn.Linear(hidden, keys)
        self.o_proj = nn.Linear(queries, hidden, bias=False)


class MLP(nn.Module):
    """Projections of a SwiGLU."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)


class Layer(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, expert: ExpertConfig, kv_heads: int, head_size: int, eps: float) -> None:
        super().__init__()
        self.self_attn = Attention(expert, kv_heads, head_size)
        self.mlp = MLP(expert.hidden_size, expert.intermediate_size)
        self.input_layernorm = RMSNorm(expert.hidden_size, eps)
        self.post_attention_layernorm = RMSNorm(expert.hidden_size, eps)

    def forward(self, x_BNH: Tensor, rope: Rope, past: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        def attend_to_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2), mask=mask)

        return decoder_block(self, x_BNH, rope, attend_to_all)[0]


class Expert(nn.Module):
    """All layers and the final norm; names as in the released checkpoints."""

    def __init__(self, config: NoraConfig) -> None:
        super().__init__()
        assert config.expert is not None
        text = config.text
        sizes = (config.expert, text["num_key_value_heads"], config.head_size, text.get("rms_norm_eps", 1e-6))
        self.layers = nn.ModuleList(Layer(*sizes) for _ in range(text["num_hidden_layers"]))
        self.norm = RMSNorm(config.expert.hidden_size, text.get("rms_norm_eps", 1e-6))
        self.head_size = config.head_size

    def forward(self, x_BNH: Tensor, past: list[tuple[Tensor, Tensor]], prefix_mask_BP: Tensor) -> Tensor:
        """[B, N, H] hidden states of the action tokens.

        Args:
            x_BNH: embedded actions and time.
            past: per layer, keys (rotated) and values [B, key-value heads, P, d] of the backbone.
            prefix_mask_BP: bool; True where the prefix is neither padding nor an action token.
        """
        mask, rope = attention_mask(prefix_mask_BP, x_BNH.shape[1]), rotary(x_BNH.shape[1], self.head_size, x_BNH.device)
        for layer, kv in zip(self.layers, past, strict=True):
            x_BNH = layer(x_BNH, rope, kv, mask)
        return self.norm(x_BNH)


def attention_mask(prefix_mask_BP: Tensor, actions: int) -> Tensor:
    """[B, 1, N, P + N] bool: every action attends to the valid prefix and all actions."""
    own = prefix_mask_BP.new_ones((len(prefix_mask_BP), actions))
    row = torch.cat([prefix_mask_BP, own], dim=1).bool()
    return row[:, None, None, :].expand(-1, 1, actions, -1)


def rotary(length: int, head_size: int, device: torch.device | str) -> Rope:
    """Cosine and sine [length, d/2] float32 of positions 0 .. length-1."""
    exponents = (2.0 / head_size) * torch.arange(head_size // 2, dtype=torch.float32, device=device)
    angles = torch.arange(length, dtype=torch.float32, device=device)[:, None] / ROPE_BASE**exponents
    return angles.cos(), angles.sin()


def time_embedding(time_B: Tensor, size: int) -> Tensor:
    """[B, size] float32: sines, then cosines, at periods spaced geometrically over `PERIODS`.

    The order of operations matters: at time 1 the fastest angle is 1571 rad.
    """
    angles = time_frequencies(size, time_B.device) * time_B.float()[:, None]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def time_frequencies(size: int, device: torch.device | str = "cpu") -> Tensor:
    """[size / 2] float32 angles of the time embedding at time 1."""
    shortest, longest = PERIODS
    fraction = torch.linspace(0.0, 1.0, size // 2, device=device)
    period = shortest * (longest / shortest) ** fraction
    return 1.0 / period * 2 * math.pi
