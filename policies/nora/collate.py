"""Prompts as a batch: token ids padded on the right, their rotary positions, and which of them are what.

Shapes: B rows, P tokens, padding included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...envs.types import Array
from .config import NoraConfig
from .prompt import TokenIds, rotary_positions

IGNORED = -100
"""Label of tokens that are no target."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """B prompts, followed by answers where there are some."""

    ids: Array
    """[B, P] int64"""
    lengths: Array
    """[B] int64 tokens that are no padding."""
    prompt_lengths: Array
    """[B] int64 tokens of the prompt alone."""
    positions: Array
    """[3, B, P] int64 rotary positions."""
    grids: Array
    """[B, 3] int64 patches of each image in time, height, width."""

    @property
    def mask(self) -> Array:
        """[B, P] bool: not padding."""
        return np.arange(self.ids.shape[1]) < self.lengths[:, None]

    @property
    def prompt_mask(self) -> Array:
        """[B, P] bool: the prompt, which is all that an expert attends to."""
        return np.arange(self.ids.shape[1]) < self.prompt_lengths[:, None]

    @property
    def labels(self) -> Array:
        """[B, P] int64: the answer's tokens, `IGNORED` elsewhere."""
        return np.where(self.mask & ~self.prompt_mask, self.ids, IGNORED)


def collate_prompts(
    prompts: Sequence[Sequence[int]],
    ids: TokenIds,
    config: NoraConfig,
    *,
    answers: Sequence[Sequence[int]] | None = None,
    length: int | None = None,
) -> Prompts:
    """Token ids of B prompts with one image each, as a batch for a model of that configuration.

    Args:
        prompts, ids: from a `Prompter`.
        config: image and patch sizes.
        answers: token ids after each prompt.
        length: P; None: that of the longest row.
    """
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers or [()] * len(prompts), strict=True)]
    lengths = np.array([len(row) for row in rows])
    padded = np.full((len(rows), length or int(lengths.max())), ids.pad, np.int64)
    for row, tokens in enumerate(rows):
        padded[row, : len(tokens)] = tokens
    side = config.image_size // config.patch
    grids = np.tile([1, side, side], (len(rows), 1))
    mask = np.arange(padded.shape[1]) < lengths[:, None]
    positions = rotary_positions(padded, mask, ids.image, grids, config.merge)
    return Prompts(padded, lengths, np.array([len(prompt) for prompt in prompts]), positions, grids)
