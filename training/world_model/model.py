"""The world model of V-JEPA 2-AC: a frozen encoder of images, and a predictor of the next frames' latents from actions.

Shapes: B batch, T frames, K latent tokens per frame, E latent width, A action size, S state size, H predictor width, h heads,
d head size, N = T * (2 + K) tokens. Source: V-JEPA 2 (arXiv:2506.09985) and its released code, whose rotary frequencies are
tiled while neighbouring channels are paired, as published weights were trained. Names are those of the released weights.
Latents are layer-normalised without weights, targets and predictions alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import VJEPA2Config
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2Encoder

FULL_ENCODER: dict[str, Any] = {
    "crop_size": 256,
    "patch_size": 16,
    "tubelet_size": 2,
    "hidden_size": 1408,
    "num_hidden_layers": 40,
    "num_attention_heads": 22,
    "mlp_ratio": 48 / 11,
}
"""ViT-g of V-JEPA 2, as `transformers` names its fields."""
NANO_ENCODER: dict[str, Any] = {
    "crop_size": 64,
    "patch_size": 16,
    "tubelet_size": 2,
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "mlp_ratio": 2.0,
}
"""For tests and the nano recipe: untrained, so its latents are random features of the patches."""


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """Sizes of the action-conditioned predictor; the defaults are V-JEPA 2-AC's."""

    width: int = 1024
    layers: int = 24
    heads: int = 16
    mlp_ratio: float = 4.0
    action_size: int = 7
    state_size: int = 7


@dataclass(frozen=True, slots=True)
class WorldModelConfig:
    """One world model. The defaults are the published sizes."""

    encoder: Mapping[str, Any] = field(default_factory=lambda: FULL_ENCODER)
    """Fields of `transformers.VJEPA2Config`."""
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    trained_encoder: bool = True
    """False for a randomly initialised, untrained encoder."""

    @property
    def image_size(self) -> int:
        """Side of a frame in pixels."""
        return self.encoder["crop_size"]

    @property
    def layers(self) -> int:
        """Layers of the encoder or the predictor, whichever has more."""
        return max(self.encoder.get("num_hidden_layers", 0), self.predictor.layers)

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.encoder["crop_size"] // self.encoder["patch_size"]

    @property
    def tokens(self) -> int:
        """Latent tokens per frame."""
        return self.grid**2

    @property
    def width(self) -> int:
        """Size of one latent token."""
        return self.encoder["hidden_size"]

    def to_json(self) -> dict[str, Any]:
        """JSON-able; `from_json` reads it."""
        return {"encoder": dict(self.encoder), "predictor": asdict(self.predictor), "trained_encoder": self.trained_encoder}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WorldModelConfig:
        """Inverse of `to_json`. Raises ValueError for invalid values."""
        import msgspec

        try:
            found = msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        if not isinstance(found.encoder.get("num_hidden_layers", 0), int):
            raise ValueError("num_hidden_layers is not an integer")
        return found


NANO = WorldModelConfig(NANO_ENCODER, PredictorConfig(width=96, layers=3, heads=4), trained_encoder=False)
"""Small enough for a CPU."""
PRESETS = {"vitg-ac": WorldModelConfig(), "nano": NANO}

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


ROLLOUT = 2
"""Frames that the rollout loss predicts, the first of them fed back, as released."""


@dataclass(frozen=True, slots=True)
class WorldModelLoss:
    """The training objective and its parts, each a mean absolute difference of latents."""

    total: Tensor
    teacher_forcing: Tensor
    """Every next frame, given the true history."""
    rollout: Tensor
    """The first frames, given the first alone."""


class WorldModel(nn.Module):
    """Frozen encoder and predictor."""

    def __init__(self, config: WorldModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VJEPA2Encoder(VJEPA2Config.from_dict({**config.encoder, "attn_implementation": "sdpa"}))
        self.encoder.requires_grad_(False)
        self.predictor = Predictor(config)

    def train(self, mode: bool = True) -> WorldModel:
        """Set the mode like `nn.Module.train`; the encoder never trains."""
        super().train(mode)
        self.encoder.eval()
        return self

    @torch.no_grad()
    def encode(self, frames_BTCHW: Tensor) -> Tensor:
        """[B, T, K, E] normalised latents of frames as `latents.frames` makes them, each encoded alone, as its own next frame."""
        batch, frames = frames_BTCHW.shape[:2]
        doubled = frames_BTCHW.flatten(0, 1)[:, None].expand(-1, self.config.encoder["tubelet_size"], -1, -1, -1)
        return normalise(self.encode_raw(doubled)).unflatten(0, (batch, frames))

    @torch.no_grad()
    def encode_raw(self, clips_BTCHW: Tensor) -> Tensor:
        """[B, T / tubelet * K, E] raw encoder output for clips."""
        return self.encoder(clips_BTCHW).last_hidden_state

    def predict(self, latents_BTKE: Tensor, actions_BTA: Tensor, states_BTS: Tensor | None = None) -> Tensor:
        """[B, T, K, E] normalised latents of the frames after each. Missing states are zeros, as released."""
        if states_BTS is None:
            states_BTS = actions_BTA.new_zeros((*actions_BTA.shape[:2], self.config.predictor.state_size))
        return normalise(self.predictor(latents_BTKE, actions_BTA, states_BTS))

    def rollout(self, first_BKE: Tensor, actions_BTA: Tensor, states_BTS: Tensor | None = None) -> Tensor:
        """[B, 1 + T, K, E]: the first frame and the predictions after each action, fed back autoregressively."""
        latents = first_BKE[:, None]
        for step in range(1, actions_BTA.shape[1] + 1):
            states = None if states_BTS is None else states_BTS[:, :step]
            latents = torch.cat([latents, self.predict(latents, actions_BTA[:, :step], states)[:, -1:]], dim=1)
        return latents

    def loss(self, latents_BTKE: Tensor, actions_BTA: Tensor, states_BTS: Tensor | None = None) -> WorldModelLoss:
        """Teacher forcing plus rollout, weighted equally.

        Args:
            latents_BTKE: normalised, of T consecutive frames.
            actions_BTA: the T - 1 actions between them.
            states_BTS: of the frames, T or T - 1 of them.
        """
        steps = actions_BTA.shape[1]
        states = None if states_BTS is None else states_BTS[:, :steps]
        forced = self.predict(latents_BTKE[:, :-1], actions_BTA, states)
        rolled = self._fed_back(latents_BTKE[:, :1], forced[:, :1], actions_BTA, states, min(ROLLOUT, steps))
        first = (forced - latents_BTKE[:, 1:]).abs().mean()
        second = (rolled - latents_BTKE[:, 1 : 1 + rolled.shape[1]]).abs().mean()
        return WorldModelLoss(first + second, first, second)

    def _fed_back(self, start: Tensor, predicted: Tensor, actions: Tensor, states: Tensor | None, steps: int) -> Tensor:
        """[B, steps, K, E] rollout continued from the first prediction, which teacher forcing has already computed."""
        for step in range(2, steps + 1):
            history = torch.cat([start, predicted], dim=1)
            known = None if states is None else states[:, :step]
            predicted = torch.cat([predicted, self.predict(history, actions[:, :step], known)[:, -1:]], dim=1)
        return predicted


def normalise(latents: Tensor) -> Tensor:
    """Zero mean and unit variance per token."""
    return F.layer_norm(latents, latents.shape[-1:])
