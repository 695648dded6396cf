"""Chunks to fit the FAST action tokenizer on, and its reconstruction error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...envs.types import Array
from ...policies.adapters import NormStats
from ...policies.fast import FastTokenizer
from .dataset import Chunking, normalised_chunks
from .demonstrations import DataError, Demonstration


@dataclass(frozen=True, slots=True)
class TokenizerReport:
    """Reconstruction error of a tokenizer on chunks."""

    chunks: int
    tokens_mean: float
    """Per chunk."""
    tokens_max: int
    rmse: float
    """Root mean square error of decoded actions, normalised units."""
    worst: float
    """Largest absolute error."""
    bad: int
    """Chunks that do not decode to status `ok`, encoded as released."""
    cut: int
    """Chunks with a coefficient outside the fitted range, truncated when used as labels."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def all_chunks(demonstrations: Iterable[Demonstration], stats: Mapping[str, NormStats], chunking: Chunking) -> Array:
    """[chunks, length, action size] float32, normalised: the chunks that begin at every step of every demonstration."""
    cuts = (normalised_chunks(d, range(len(d)), stats, chunking).actions for d in demonstrations)
    chunks = [actions for actions in cuts if len(actions)]
    if not chunks:
        raise DataError("no chunk to fit on: no demonstrations, or every chunk overlaps a push")
    return np.concatenate(chunks).astype(np.float32)


def examine(tokenizer: FastTokenizer, chunks: Array) -> TokenizerReport:
    """Encode and decode chunks [chunks, length, action size]."""
    tokens: Sequence[Sequence[int]] = tokenizer.encode(chunks)
    decoded = tokenizer.decode(tokens, chunks.shape[1], chunks.shape[2])
    good = np.array([answer.status == "ok" for answer in decoded])
    back = np.array([answer.actions for answer in decoded if answer.status == "ok"])
    error = (back - chunks[good]) if good.any() else np.full((1,), np.nan)
    lengths = [len(row) for row in tokens]
    return TokenizerReport(
        chunks=len(chunks),
        tokens_mean=float(np.mean(lengths)),
        tokens_max=max(lengths),
        rmse=float(np.sqrt(np.mean(error**2))),
        worst=float(np.abs(error).max()),
        bad=int((~good).sum()),
        cut=int((tokenizer.label(chunks).cut > 0).sum()),
    )
