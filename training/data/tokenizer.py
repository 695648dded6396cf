"""Fitting the FAST action tokenizer on demonstrations, and saying how good it is."""

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
    """How a tokenizer does on chunks that it was not fitted on."""

    chunks: int
    tokens_mean: float
    """Per chunk."""
    tokens_max: int
    rmse: float
    """Root mean square of decoded less true actions, normalised units."""
    worst: float
    """Largest such difference."""
    bad: int
    """Chunks that do not decode to status `ok`, encoded as released."""
    cut: int
    """Chunks with a coefficient outside the fit: as labels they are cut."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def all_chunks(
    demonstrations: Iterable[Demonstration], stats: Mapping[str, NormStats], chunking: Chunking, *, clip: bool = True
) -> Array:
    """[chunks, length, action size] float32: those that begin at every step of every demonstration, normalised."""
    cuts = (normalised_chunks(d, range(len(d)), stats, chunking, clip=clip).actions for d in demonstrations)
    found = [actions for actions in cuts if len(actions)]
    if not found:
        raise DataError("no chunk to fit on: there are no demonstrations, or every chunk touches a push")
    return np.concatenate(found).astype(np.float32)


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
