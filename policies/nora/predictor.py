"""Batched inference: inputs are grouped into batches of one fixed shape, so that no output depends on its neighbours."""

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
    """Inputs of the model at one decision."""

    prompt: Sequence[int]
    """Token ids."""
    image: Array
    """[size, size, 3] uint8"""
    noise: Array | None
    """float32. Flow: [chunk, action size]; sampled tokens: [new tokens, tokens to choose from]; None: the likeliest tokens."""

    @property
    def length(self) -> int:
        """Tokens of the prompt with padding, a function of the prompt alone."""
        return -(-len(self.prompt) // LENGTH_STEP) * LENGTH_STEP


@dataclass
class Predictor:
    """A model and its decoders."""

    model: NoraModel
    ids: TokenIds
    rows: int
    """Inputs per batch; fewer are filled up with copies."""
    chunk: int
    steps: int
    new_tokens: int
    decoding: DecodingConfig
    fast: FastTokenizer | None
    """None for the flow."""
    backend: str | None = None
    """Compiler of the fast path; see `Engine`."""
    _engines: dict[int, Engine] = field(default_factory=dict)

    @property
    def dtype(self) -> str:
        """Type of the weights, e.g. `float32`."""
        return str(self.model.vlm.dtype).removeprefix("torch.")

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return self.model.vlm.device.type

    def predict(self, inputs: Sequence[ModelInputs]) -> list[ModelOutput]:
        """One output per input, in order."""
        outputs: dict[int, ModelOutput] = {}
        for length in sorted({row.length for row in inputs}):
            same = [index for index, row in enumerate(inputs) if row.length == length]
            for start in range(0, len(same), self.rows):
                batch = same[start : start + self.rows]
                outputs.update(zip(batch, self._batch(length, [inputs[index] for index in batch]), strict=True))
        return [outputs[index] for index in range(len(inputs))]

    def _batch(self, length: int, inputs: list[ModelInputs]) -> list[ModelOutput]:
        import torch

        filled = inputs + [inputs[0]] * (self.rows - len(inputs))
        engine, batch = self._engine(length), self._collate(length, filled)
        noises = [row.noise for row in filled if row.noise is not None]
        noise = torch.from_numpy(np.stack(noises)).to(engine.device) if noises else None
        if self.fast is None:
            assert noise is not None
            chunks = engine.sample(batch, noise).cpu().numpy()
            return [read_flow(chunk) for chunk in chunks[: len(inputs)]]
        tokens = engine.generate(batch, noise)[: len(inputs)].tolist()
        return read_tokens(tokens, self.ids, self.fast, self.chunk, self.model.config.action_size)

    def _engine(self, length: int) -> Engine:
        from .model.engine import Engine, StaticShape

        if length not in self._engines:
            shape = StaticShape(self.rows, length, self.chunk, self.steps, self.new_tokens if self.fast else 0)
            self._engines[length] = Engine(self.model, shape, self.ids.image, self.decoding, self.backend)
        return self._engines[length]

    def _collate(self, length: int, inputs: list[ModelInputs]) -> Inputs:
        import torch

        from .model.engine import Inputs

        config, device = self.model.config, self._engine(length).device
        prompts = collate_prompts([row.prompt for row in inputs], self.ids, config, length=length)
        pixels = patches(np.stack([row.image for row in inputs]), config.patch, config.merge)
        arrays = (prompts.ids, prompts.lengths, prompts.positions, pixels)
        return Inputs(*(torch.from_numpy(array).to(device) for array in arrays))
