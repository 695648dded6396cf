"""The world model: images to latents, latents and actions to the next latents, and the training loss.

Shapes as in `predictor.py`. Latents are layer-normalised without weights, targets and predictions alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import VJEPA2Config
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2Encoder

from .config import WorldModelConfig
from .predictor import Predictor

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
        """As `nn.Module.train`; the encoder never trains."""
        super().train(mode)
        self.encoder.eval()
        return self

    @torch.no_grad()
    def encode(self, frames_BTCHW: Tensor) -> Tensor:
        """[B, T, K, E] normalised latents of standardised frames (`pixels.py`), each encoded alone, as its own next frame."""
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
