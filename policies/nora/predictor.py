"""Many questions to one model: grouped into batches of one fixed shape, so that no answer depends on its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...envs.types import Array
from ..fast import FastTokenizer
from .collate import collate_prompts
from .decoding import ModelOutput, read_flow, read_tokens
from .pixels import patches
from .prompt import TokenIds

if TYPE_CHECKING:
    from .model.engine import DecodingConfig, Engine, Inputs
    from .model.reference import NoraModel

LENGTH_STEP = 32
"""Prompts are padded to a multiple of it: a handful of shapes for all instructions."""


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """One decision, ready for the model."""

    prompt: Sequence[int]
    """Token ids."""
    image: Array
    """[size, size, 3] uint8"""
    noise: Array | None
    """float32. For the flow [steps, action size]; for tokens that are sampled [new tokens, tokens to choose from]; None: the
    likeliest tokens."""

    @property
    def length(self) -> int:
        """The prompt's length with padding: it depends on nothing but the prompt."""
        return -(-len(self.prompt) // LENGTH_STEP) * LENGTH_STEP


@dataclass
class Predictor:
    """A model, and what turns its output into chunks."""

    model: NoraModel
    ids: TokenIds
    rows: int
    """Questions per batch; fewer are filled up with copies."""
    chunk: int
    steps: int
    new_tokens: int
    greedy: DecodingConfig
    fast: FastTokenizer | None
    """None for the flow."""
    backend: str | None = None
    """Compiler of the fast path; see `Engine`."""
    _engines: dict[int, Engine] = field(default_factory=dict)

    def answer(self, questions: Sequence[ModelInputs]) -> list[ModelOutput]:
        """One answer per question, in order."""
        answers: dict[int, ModelOutput] = {}
        for length in sorted({question.length for question in questions}):
            same = [index for index, question in enumerate(questions) if question.length == length]
            for start in range(0, len(same), self.rows):
                batch = same[start : start + self.rows]
                answers.update(zip(batch, self._batch(length, [questions[index] for index in batch]), strict=True))
        return [answers[index] for index in range(len(questions))]

    def _batch(self, length: int, questions: list[ModelInputs]) -> list[ModelOutput]:
        import torch

        filled = questions + [questions[0]] * (self.rows - len(questions))
        engine, inputs = self._engine(length), self._inputs(length, filled)
        drawn = [question.noise for question in filled if question.noise is not None]
        noise = torch.from_numpy(np.stack(drawn)).to(engine.device) if drawn else None
        if self.fast is None:
            assert noise is not None
            chunks = engine.sample(inputs, noise).cpu().numpy()
            return [read_flow(chunk) for chunk in chunks[: len(questions)]]
        tokens = engine.generate(inputs, noise)[: len(questions)].tolist()
        return read_tokens(tokens, self.ids, self.fast, self.chunk, self.model.config.action_size)

    def _engine(self, length: int) -> Engine:
        from .model.engine import Engine, StaticShape

        if length not in self._engines:
            shape = StaticShape(self.rows, length, self.chunk, self.steps, self.new_tokens if self.fast else 0)
            self._engines[length] = Engine(self.model, shape, self.ids.image, self.greedy, self.backend)
        return self._engines[length]

    def _inputs(self, length: int, questions: list[ModelInputs]) -> Inputs:
        import torch

        from .model.engine import Inputs

        config, device = self.model.config, self._engine(length).device
        prompts = collate_prompts([question.prompt for question in questions], self.ids, config, length=length)
        pixels = patches(np.stack([question.image for question in questions]), config.patch, config.merge)
        arrays = (prompts.ids, prompts.lengths, prompts.positions, pixels)
        return Inputs(*(torch.from_numpy(array).to(device) for array in arrays))
