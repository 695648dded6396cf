"""From the model's raw output, tokens or sampled actions, to a checked chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...envs.types import Array
from ..fast import FastTokenizer
from .prompt import TokenIds


def most_tokens(chunk: int, action_size: int) -> int:
    """Enough tokens for any chunk: one for each of its numbers, and two."""
    return chunk * action_size + 2


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Decoded output of the model at one decision."""

    status: str
    """`ok`, `cut` (the limit on new tokens came before the end of the chunk), `malformed` or `out_of_range`."""
    normalised: Array | None
    """[chunk, action size] float64; None where the tokens are no chunk of that shape."""


def read_tokens(
    rows: Sequence[Sequence[int]], ids: TokenIds, fast: FastTokenizer, horizon: int, action_size: int
) -> list[ModelOutput]:
    """The chunk of each row of generated tokens; everything after a row's end-of-turn token is ignored.

    As released, every action token counts wherever it stands, and other tokens are skipped.
    """
    texts = [list(row[: row.index(ids.end_of_turn)]) if ids.end_of_turn in row else list(row) for row in map(list, rows)]
    ended = [ids.end_of_turn in row for row in rows]
    actions = [[t - ids.first_action for t in row if ids.first_action <= t <= ids.last_action] for row in texts]
    decoded = fast.decode(actions, horizon, action_size)
    return [
        ModelOutput("cut" if d.status == "malformed" and d.actions is None and not end else d.status, d.actions)
        for d, end in zip(decoded, ended, strict=True)
    ]


def read_flow(chunk: Array) -> ModelOutput:
    """A sampled chunk [chunk, action size]; NaN or infinity makes it malformed."""
    if not np.isfinite(chunk).all():
        return ModelOutput("malformed", None)
    return ModelOutput("ok", chunk.astype(np.float64))
