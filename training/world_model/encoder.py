"""A trained encoder for small world models: it learns where the objects of a scene are, and is frozen afterwards.

As in supervised fine-tuning (`sft/objective.py`), each latent token predicts which object is at its place and where in it; here
the layers that predict are discarded with their loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ...envs.safe_io import atomic_write
from ..data.dataset import ImageSource
from ..data.demonstrations import Demonstration
from ..data.scene_targets import KINDS, SceneTargets, camera_of, require_scenes, targets
from .latents import frames
from .model import WorldModel, normalise

BATCH, LEARNING_RATE = 16, 1e-3


@dataclass(frozen=True)
class ScenePlaces:
    """Images of demonstrations with the places of their objects."""

    demonstrations: Sequence[Demonstration]
    images: ImageSource
    scenes: Sequence[SceneTargets]

    @classmethod
    def of(cls, demonstrations: Sequence[Demonstration], images: ImageSource) -> ScenePlaces:
        """All steps of the demonstrations. Raises DataError for those without object positions."""
        require_scenes(demonstrations)
        cameras = {(d.suite, d.task): d for d in demonstrations}
        seen = {task: camera_of(d.model) for task, d in cameras.items()}
        return cls(demonstrations, images, [targets(d, seen[d.suite, d.task]) for d in demonstrations])

    def batch(self, generator: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, size, size] frames, [B, things, 2] places, [B, things] kinds of random steps."""
        chosen = [(int(i), int(generator.integers(len(self.demonstrations[i])))) for i in self._episodes(generator)]
        pixels = np.stack([np.asarray(self.images.get(self.demonstrations[i])[step]) for i, step in chosen])
        places = np.stack([self.scenes[i].places[step] for i, step in chosen])
        kinds = np.stack([self.scenes[i].kinds[step] for i, step in chosen])
        return frames(pixels, size), torch.from_numpy(places), torch.from_numpy(kinds)

    def _episodes(self, generator: np.random.Generator) -> np.ndarray:
        return generator.integers(len(self.demonstrations), size=BATCH)


class PlaceHead(nn.Module):
    """Which object is at each token, and where in it."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.kinds, self.offsets = nn.Linear(width, KINDS), nn.Linear(width, 2 * KINDS)

    def forward(self, latents_BKE: Tensor, places: Tensor, kinds: Tensor) -> Tensor:
        """Cross entropy of each object's token among all, plus the absolute error of its place within it, in tokens."""
        scaled = places * self.side
        rows, things = ((scaled >= 0) & (scaled < self.side)).all(-1).nonzero(as_tuple=True)
        found, at = kinds[rows, things], scaled[rows, things]
        cell = at.floor().clamp(0, self.side - 1)
        token = (cell[:, 0] * self.side + cell[:, 1]).long()
        logits = self.kinds(latents_BKE)[rows, :, found]
        offsets = self.offsets(latents_BKE).unflatten(-1, (KINDS, 2))[rows, token, found]
        return F.cross_entropy(logits, token) + F.l1_loss(offsets, at - cell - 0.5)


def train_encoder(world: WorldModel, examples: ScenePlaces, steps: int, seed: int) -> list[float]:
    """Train the world model's encoder in place and freeze it again; the loss of every update. Deterministic in the seed."""
    torch.manual_seed(seed)
    size = world.config.image_size
    head = PlaceHead(world.config.width, world.config.grid)
    world.encoder.requires_grad_(True)
    world.encoder.train()
    optimizer = torch.optim.AdamW([*world.encoder.parameters(), *head.parameters()], LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=max(steps, 2), pct_start=0.1)
    generator, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        images, places, kinds = examples.batch(generator, size)
        clips = images[:, None].expand(-1, world.config.encoder["tubelet_size"], -1, -1, -1)
        latents = normalise(world.encoder(clips).last_hidden_state)
        loss = head(latents, places, kinds)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(world.encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    world.encoder.requires_grad_(False)
    world.encoder.eval()
    return losses


def save_encoder(world: WorldModel, path: Path) -> None:
    """Write the encoder's weights, as `train world-model --init-from` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {f"encoder.{name}": value.contiguous() for name, value in world.encoder.state_dict().items()}
    with atomic_write(path) as scratch:
        save_file(state, scratch, metadata={"format": "pt"})
