"""Cache of encoded frames: the encoder is frozen, so each frame is encoded once.

One `.npy` file per demonstration, float16, memory-mapped, written atomically. At the full size that is 0.7 MB per frame.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...envs.types import Array
from ...policies.adapters import NormStats
from ..data.dataset import EpisodeImages, ImageSource, normalise, openings
from ..data.demonstrations import DataError, Demonstration
from ..data.images import ImageCache, keep_array
from .model import WorldModel

BATCH = 32
"""Frames encoded at once."""


class Latents:
    """Latents of demonstrations under one encoder, in a folder; missing ones are encoded on access."""

    def __init__(self, folder: Path, world: WorldModel, images: ImageSource) -> None:
        """`images` must have one for every step; files are separate per encoder, image spec and image source."""
        self.folder, self.encoder = folder, encoder_digest(world)
        self.world, self.images = world, images

    def path(self, demonstration: Demonstration) -> Path:
        """File of a demonstration's latents."""
        images = self.images.path(demonstration) if isinstance(self.images, ImageCache) else Path("stored/")
        digest = hashlib.sha256(demonstration.key.encode() + demonstration.states.tobytes())
        if not demonstration.states.size:
            digest.update(images.name.encode())
        name = f"{re.sub(r'[^A-Za-z0-9_]+', '-', demonstration.key)[-80:]}-{digest.hexdigest()[:12]}.npy"
        return self.folder / f"{images.parent.name or 'stored'}-{self.encoder}" / name

    def get(self, demonstration: Demonstration) -> Array:
        """[steps, K, E] float16 normalised latents."""
        path = self.path(demonstration)
        if not path.exists():
            keep_array(path, self._encode(self.images.get(demonstration), len(self.images.steps(demonstration))))
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def missing(self, demonstrations: Iterable[Demonstration]) -> list[Demonstration]:
        """Demonstrations without latents in the cache."""
        return [demonstration for demonstration in demonstrations if not self.path(demonstration).exists()]

    def encode_all(self, demonstrations: Iterable[Demonstration], report: Callable[[int], None] = lambda frames: None) -> None:
        """Encode missing demonstrations; `report` is called with the number of frames of each."""
        for demonstration in self.missing(demonstrations):
            report(len(self.get(demonstration)))

    def _encode(self, images: EpisodeImages, count: int) -> Array:
        device = next(self.world.parameters()).device
        parts = []
        for start in range(0, count, BATCH):
            some = np.stack([images[index] for index in range(start, min(start + BATCH, count))])
            batch = frames(some, self.world.config.image_size).to(device)
            parts.append(self.world.encode(batch[:, None])[:, 0].half().cpu().numpy())
        return np.concatenate(parts)


def encoder_digest(world: WorldModel) -> str:
    """Name of an encoder: a digest of its weights and sizes."""
    total = hashlib.sha256(repr(sorted(world.config.encoder.items())).encode())
    for _, value in sorted(world.encoder.state_dict().items()):
        total.update(value.cpu().numpy().tobytes())
    return total.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Window:
    """T consecutive frames of B episodes and what was done between them."""

    latents: Tensor
    """[B, T, K, E] normalised."""
    actions: Tensor
    """[B, T - 1, A] normalised."""


@dataclass(frozen=True)
class Windows:
    """Windows of consecutive frames as training examples."""

    latents: Latents
    demonstrations: Sequence[Demonstration]
    actions: Sequence[Array]
    """Per demonstration, [steps, A] float32 as executed, normalised."""
    starts: Array
    """[windows, 2] demonstration and first frame."""
    length: int

    @classmethod
    def of(
        cls, demonstrations: Sequence[Demonstration], latents: Latents, stats: Mapping[str, NormStats], length: int
    ) -> Windows:
        """Every window of `length` frames. Executed actions count, pushes too: the world answers to what is done."""
        starts = [(i, start) for i, d in enumerate(demonstrations) for start in range(len(d) - length + 1)]
        if not starts:
            raise DataError(f"no demonstration has {length} frames")
        actions = [normalise(openings(d.actions), stats[d.suite], clip=False).astype(np.float32) for d in demonstrations]
        return cls(latents, demonstrations, actions, np.array(starts), length)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: Array) -> Window:
        """Stack the windows of those indices."""
        chosen = self.starts[indices]
        seen = [self.latents.get(self.demonstrations[i])[start : start + self.length] for i, start in chosen]
        done = [self.actions[i][start : start + self.length - 1] for i, start in chosen]
        return Window(torch.from_numpy(np.stack(seen)).float(), torch.from_numpy(np.stack(done)))


MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def frames(images: Array, size: int) -> Tensor:
    """[..., 3, size, size] float32 from [..., height, width, 3] uint8."""
    values = torch.from_numpy(np.array(images)).flatten(0, -4).permute(0, 3, 1, 2).float() / 255
    if values.shape[-2:] != (size, size):
        values = F.interpolate(values, (size, size), mode="bilinear", antialias=True)
    mean, std = (values.new_tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
    return ((values - mean) / std).unflatten(0, images.shape[:-3])
