"""Images, instructions and action tokens as a batch of `NoraModel.prefix`, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...envs.types import Array
from ...policies.nora.collate import IGNORED, collate_prompts
from ...policies.nora.config import NoraConfig
from ...policies.nora.pixels import patches
from ...policies.nora.prompt import Prompter
from .loss import PromptBatch


@dataclass(frozen=True)
class PromptCollator:
    """Collates batches for one model."""

    config: NoraConfig
    prompter: Prompter

    def collate(self, images: Array, instructions: Sequence[str], answers: Sequence[Sequence[int]] | None = None) -> PromptBatch:
        """Prompts, followed by answers where there are some; the mask is of the prompts alone, as the expert attends to them.

        Args:
            images: [B, size, size, 3] uint8 at the model's size.
            instructions: one per image.
            answers: token ids after each prompt (`Prompter.answer`).
        """
        tokens = [self.prompter.prompt(text) for text in instructions]
        prompts = collate_prompts(tokens, self.prompter.ids, self.config, answers=answers)
        pixels = patches(images, self.config.patch, self.config.merge)
        arrays = (
            prompts.ids,
            prompts.mask.astype(np.int64),
            prompts.positions,
            pixels.reshape(-1, pixels.shape[-1]),
            prompts.grids,
        )
        return PromptBatch(tuple(torch.from_numpy(array) for array in arrays), torch.from_numpy(prompts.prompt_mask))

    def labels(self, prompts: PromptBatch) -> Tensor:
        """[B, P] targets of the token head: the answers, `IGNORED` elsewhere."""
        ids, mask = prompts.inputs[:2]
        return torch.where((mask == 1) & ~prompts.mask_BP, ids, torch.full_like(ids, IGNORED))


def to(prompts: PromptBatch, device: torch.device) -> PromptBatch:
    """The batch on a device."""
    return PromptBatch(tuple(tensor.to(device) for tensor in prompts.inputs), prompts.mask_BP.to(device))
