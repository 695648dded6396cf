"""Several answers of one policy to one picture: what preferences are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...policies.adapters import NormStats
from ...policies.nora.checkpoint import open_checkpoint
from ...policies.nora.prompt import Prompter
from ...policies.nora.statistics import Statistics
from ...policies.nora.weights import digest
from ..settings import TrainingError

if TYPE_CHECKING:
    from ...policies.nora.model import NoraModel
    from .prompts import Batcher

Array = np.ndarray


@dataclass(frozen=True)
class Sampler:
    """A policy's flow expert, asked for several chunks per state; the prefix is computed once."""

    model: NoraModel
    batcher: Batcher
    norm_stats: Mapping[str, Any]
    steps: int
    """Euler steps."""
    digest: str
    """SHA-256 of the weights."""

    @classmethod
    def load(cls, checkpoint: str, steps: int = 10, device: str = "cpu") -> Sampler:
        """The policy of a checkpoint. Raises PolicyError, TrainingError."""
        import torch

        from .prompts import Batcher

        found = open_checkpoint(checkpoint)
        if not found.config.expert:
            raise TrainingError(f"{checkpoint} has no flow expert to sample from")
        prompter = Prompter.load(found.folder, found.config.image_tokens)
        model = found.model(device, torch.float32)
        return cls(model, Batcher(found.config, prompter), found.norm_stats, steps, digest(found.files))

    @property
    def chunk(self) -> int:
        """Actions per chunk."""
        return self.model.config.chunk or 1

    def stats(self, suite: str) -> NormStats:
        """How the policy's actions for a suite are normalised."""
        return Statistics(self.norm_stats, None).of(suite)

    def sample(self, images: Array, instructions: Sequence[str], noise_SCNA: Array) -> Array:
        """[S, C, N, A] float32 normalised chunks of S states, from that noise."""
        import torch

        from .prompts import to

        device = next(self.model.parameters()).device
        shown = to(self.batcher.shown(images, instructions), device)
        count = noise_SCNA.shape[1]
        with torch.no_grad():
            cache = [
                (keys.repeat_interleave(count, 0), values.repeat_interleave(count, 0))
                for keys, values in self.model.prefix(*shown.inputs).cache
            ]
            noise = torch.from_numpy(noise_SCNA).flatten(0, 1).to(device)
            chunks = self.model.sample(noise, cache, shown.mask_BP.repeat_interleave(count, 0), self.steps)
        return chunks.unflatten(0, (-1, count)).cpu().numpy()


def noise_of(seed: int, key: str, step: int, shape: tuple[int, ...]) -> Array:
    """Standard normal float32, the same for the same seed, demonstration and step."""
    words = np.frombuffer(hashlib.sha256(key.encode()).digest()[:16], "<u4")
    return np.random.default_rng([seed, step, *map(int, words)]).standard_normal(shape, np.float32)
