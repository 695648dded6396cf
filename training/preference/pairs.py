"""From scored candidates to pairs: which chunk wins, which loses, and which states make no pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..settings import TrainingError
from .store import NO_PAIR, Part

if TYPE_CHECKING:
    from ...policies.fast import FastTokenizer
    from .prompts import Batcher

Array = np.ndarray


def best_and_worst(totals_C: Array) -> tuple[int, int]:
    """Indices of the largest and of the smallest reward; the first of equals, and NaN is neither."""
    return int(np.nanargmax(totals_C)), int(np.nanargmin(totals_C))


def pair(totals_C: Array, margin: float) -> tuple[int, int]:
    """Winner and loser, or `NO_PAIR` twice where rewards are equal or not `margin` apart. What is no number takes no part."""
    finite = np.isfinite(totals_C)
    if not finite.any():
        return NO_PAIR, NO_PAIR
    winner, loser = best_and_worst(np.where(finite, totals_C, np.nan))
    gap = float(totals_C[winner]) - float(totals_C[loser])
    return (winner, loser) if gap > 0 and gap >= margin else (NO_PAIR, NO_PAIR)


@dataclass(frozen=True)
class PairExamples:
    """The pairs of one reward as examples for the training loop."""

    part: Part
    rows: Array
    """[pairs] the states that make one."""
    winners: Array
    """[pairs, N, A]"""
    losers: Array
    batcher: Batcher
    fast: FastTokenizer | None = None
    """Where the token head is trained: what makes tokens of chunks."""

    @classmethod
    def of(cls, part: Part, reward: str, batcher: Batcher, fast: FastTokenizer | None = None) -> PairExamples:
        """The pairs of a reward. Raises TrainingError where it has none, or one whose winner is no better than its loser."""
        if reward not in part.pairs:
            raise TrainingError(f"the labels have no reward {reward!r}, only {', '.join(sorted(part.pairs))}")
        chosen = part.pairs[reward]
        rows = np.flatnonzero((chosen != NO_PAIR).all(axis=1))
        winner, loser = chosen[rows].T
        better = part.total[reward][rows, winner] > part.total[reward][rows, loser]
        if not better.all():
            raise TrainingError(f"{(~better).sum()} pairs of {reward} have a winner that is no better than its loser")
        if not len(rows):
            raise TrainingError(f"no state makes a pair under {reward}: all rewards are equal or closer than the margin")
        return cls(part, rows, part.candidates[rows, winner], part.candidates[rows, loser], batcher, fast)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Array) -> Any:
        """`FlowPairs`, or `TokenPairs` where there is a tokenizer."""
        import torch

        from .objective import FlowPairs, TokenPairs

        rows = self.rows[indices]
        images, texts = self.part.images[rows], [self.part.states[row]["instruction"] for row in rows]
        chunks = np.concatenate([self.winners[indices], self.losers[indices]])
        if self.fast is None:
            return FlowPairs(self.batcher.shown(images, texts), torch.from_numpy(chunks))
        labelled = self.fast.label(chunks)
        answers = [self.batcher.answer(tokens) for tokens in labelled.tokens]
        shown = self.batcher.shown(np.concatenate([images, images]), texts + texts, answers)
        return TokenPairs(shown, self.batcher.labels(shown), float(labelled.cut.mean()))
