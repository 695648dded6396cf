"""Samples several action chunks of one policy per state: the candidates of preference pairs."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from ...envs.types import Array
from ...policies.adapters import NormStats
from ...policies.fast import FastTokenizer
from ...policies.nora.action_stats import Statistics
from ...policies.nora.checkpoint import open_checkpoint
from ...policies.nora.decoding import most_tokens
from ...policies.nora.model.engine import DecodingConfig
from ...policies.nora.model.reference import NoraModel
from ...policies.nora.predictor import ModelInputs, Predictor
from ...policies.nora.prompt import Prompter
from ...policies.nora.tokenizers import own_fast
from ...policies.nora.weights import digest
from ..engine.config import TrainingError
from ..models.init import open_model
from .pairs import PromptCollator, to

Generators = Sequence[np.random.Generator]
Head = Literal["flow", "fast"]
ROWS = 8
"""Batch size of token generation."""


@dataclass(frozen=True)
class Sampler(ABC):
    """A policy that samples several chunks per state."""

    model: NoraModel
    prompter: Prompter
    norm_stats: Mapping[str, Any]
    digest: str
    """SHA-256 of the weights."""

    @property
    def chunk(self) -> int:
        """Actions per chunk."""
        return self.model.config.chunk or 1

    def stats(self, suite: str) -> NormStats:
        """Normalisation of the policy's actions for a suite."""
        return Statistics(self.norm_stats, None).of(suite)

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """Settings that decide the chunks besides weights and random numbers."""

    @abstractmethod
    def sample(self, images: Array, instructions: Sequence[str], generators: Generators, candidates: int) -> Array:
        """[S, C, N, A] float32 normalised chunks of S states; NaN where the output is no chunk.

        Args:
            images: [S, size, size, 3] uint8 at the model's size.
            instructions: one per image.
            generators: one per image, its only source of random numbers.
            candidates: C.
        """


@dataclass(frozen=True)
class FlowSampler(Sampler):
    """The flow expert from C noises; the prefix is computed once."""

    steps: int = 10
    """Euler steps."""

    def facts(self) -> Mapping[str, Any]:
        return {"euler_steps": self.steps}

    def sample(self, images: Array, instructions: Sequence[str], generators: Generators, candidates: int) -> Array:
        device = next(self.model.parameters()).device
        prompts = to(PromptCollator(self.model.config, self.prompter).collate(images, instructions), device)
        shape = (candidates, self.chunk, self.model.config.action_size)
        noise_SCNA = np.stack([generator.standard_normal(shape, np.float32) for generator in generators])
        with torch.no_grad():
            cache = [
                (keys.repeat_interleave(candidates, 0), values.repeat_interleave(candidates, 0))
                for keys, values in self.model.prefix(*prompts.inputs).cache
            ]
            noise = torch.from_numpy(noise_SCNA).flatten(0, 1).to(device)
            chunks = self.model.sample(noise, cache, prompts.mask_BP.repeat_interleave(candidates, 0), self.steps)
        return chunks.unflatten(0, (-1, candidates)).cpu().numpy()


@dataclass(frozen=True)
class TokenSampler(Sampler):
    """The token head at a temperature; only action tokens and the end of the turn can be sampled.

    A sample is the maximum of the scores plus Gumbel noise, so that it depends on its own noise alone. Each candidate has its
    own pass of the backbone.
    """

    fast: FastTokenizer
    temperature: float = 1.0

    def facts(self) -> Mapping[str, Any]:
        return {"temperature": self.temperature}

    def sample(self, images: Array, instructions: Sequence[str], generators: Generators, candidates: int) -> Array:
        ids, shape = self.prompter.ids, (self.chunk, self.model.config.action_size)
        most, choices = most_tokens(*shape), ids.last_action - ids.first_action + 2
        inputs = [
            ModelInputs(self.prompter.prompt(text), image, np.float32(self.temperature) * gumbel)
            for image, text, generator in zip(images, instructions, generators, strict=True)
            for gumbel in generator.gumbel(size=(candidates, most, choices)).astype(np.float32)
        ]
        outputs = self._predictor.predict(inputs)
        chunks = [np.full(shape, np.nan) if output.normalised is None else output.normalised for output in outputs]
        return np.stack(chunks).reshape(len(images), candidates, *shape).astype(np.float32)

    @cached_property
    def _predictor(self) -> Predictor:
        ids, most = self.prompter.ids, most_tokens(self.chunk, self.model.config.action_size)
        choice = DecodingConfig(ids.end_of_turn, allowed=(ids.first_action, ids.last_action))
        return Predictor(self.model, ids, ROWS, self.chunk, 1, most, choice, self.fast)


def open_sampler(
    checkpoint: str, head: Head = "flow", *, steps: int = 10, temperature: float = 1.0, device: str = "cpu"
) -> Sampler:
    """A checkpoint's policy. Raises PolicyError, TrainingError.

    Args:
        checkpoint: path, hub id or `nora-1.5-nano`.
        head: which of its heads samples.
        steps: Euler steps of the flow.
        temperature: of token sampling.
        device: of the weights.
    """
    opened = open_checkpoint(checkpoint)
    if head == "flow" and not opened.config.expert:
        raise TrainingError(f"{checkpoint} has no flow expert to sample from; add --head fast")
    if head == "fast" and not opened.token_head:
        raise TrainingError(f"{checkpoint} was trained without action tokens; add --head flow")
    if head == "fast" and own_fast(opened) is None:
        raise TrainingError(f"{checkpoint} has no fast_tokenizer/, which --head fast needs")
    initial = open_model(opened, tokens=head == "fast", device=device)
    model = initial.model.eval().requires_grad_(False)
    fields = (model, initial.prompter, initial.norm_stats, digest(opened.files))
    return TokenSampler(*fields, initial.fast, temperature) if initial.fast else FlowSampler(*fields, steps)


def generator_of(seed: int, key: str, step: int) -> np.random.Generator:
    """Generator for one step of one demonstration, the same for the same seed."""
    words = np.frombuffer(hashlib.sha256(key.encode()).digest()[:16], "<u4")
    return np.random.default_rng([seed, step, *map(int, words)])
