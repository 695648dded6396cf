"""Pictures, instructions and action tokens as a batch of the plain model, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...envs.types import Array
from ...policies.nora.config import NoraConfig
from ...policies.nora.model.reference import IGNORED
from ...policies.nora.pixels import patches
from ...policies.nora.prompt import Prompter, rotary_positions
from .loss import PromptBatch


@dataclass(frozen=True)
class Batcher:
    """Lays out batches for one model."""

    config: NoraConfig
    prompter: Prompter

    def shown(self, images: Array, instructions: Sequence[str], answers: Sequence[Sequence[int]] | None = None) -> PromptBatch:
        """What the model sees: prompts, followed by answers where there are some; the expert is to see the prompts alone.

        Args:
            images: [B, size, size, 3] uint8 at the model's size.
            instructions: one per picture.
            answers: token ids after each prompt (`answer`).
        """
        prompts = [self.prompter.prompt(text) for text in instructions]
        rows = [prompt + list(answer) for prompt, answer in zip(prompts, answers or [()] * len(prompts), strict=True)]
        length = max(map(len, rows))
        ids = np.full((len(rows), length), self.prompter.ids.pad, np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
        lengths, own = (np.array([len(row) for row in some])[:, None] for some in (rows, prompts))
        mask = np.arange(length) < lengths
        side = self.config.image_size // self.config.patch
        grid = np.tile([1, side, side], (len(rows), 1))
        positions = rotary_positions(ids, mask, self.prompter.ids.image, grid, self.config.merge)
        pixels = patches(images, self.config.patch, self.config.merge)
        arrays = (ids, mask.astype(np.int64), positions, pixels.reshape(-1, pixels.shape[-1]), grid)
        return PromptBatch(tuple(torch.from_numpy(array) for array in arrays), torch.from_numpy(np.arange(length) < own))

    def answer(self, tokens: Sequence[int]) -> list[int]:
        """Token ids that answer a prompt with these action tokens: they, the end of the turn and a newline."""
        ids = self.prompter.ids
        newline = self.prompter.backend.encode("\n", add_special_tokens=False).ids
        return [ids.first_action + token for token in tokens] + [ids.end_of_turn, *newline]

    def labels(self, shown: PromptBatch) -> Tensor:
        """[B, P] what the token head is to say: the answers, `IGNORED` elsewhere."""
        ids, mask = shown.inputs[:2]
        return torch.where((mask == 1) & ~shown.mask_BP, ids, torch.full_like(ids, IGNORED))


def to(shown: PromptBatch, device: torch.device) -> PromptBatch:
    """The same on a device."""
    return PromptBatch(tuple(tensor.to(device) for tensor in shown.inputs), shown.mask_BP.to(device))
