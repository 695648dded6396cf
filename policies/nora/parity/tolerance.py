"""Tolerance between two correct computations of the same model: processors sum in different orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import NoraConfig

EPSILON = 2.0**-23
"""Machine epsilon of float32: the distance from 1 to the next number, which is two rounding errors."""


def rounding(sums: Iterable[int]) -> float:
    """Share of an output's largest magnitude that rounding can take, for sums that follow one another.

    A sum of K float32 terms, added in any order, is off by about sqrt(K) rounding errors of its size: they have no common sign.
    What one product got wrong is carried through the next, so variances add: eps * sqrt(K1 + K2 + ...). Entries near zero are
    sums of large terms too; so the scale is the output's largest magnitude, never the entry's own.

    Args:
        sums: numbers of terms of the sums between input and output.
    """
    return EPSILON * sum(sums) ** 0.5


def model_rounding(config: NoraConfig) -> float:
    """`rounding` from image and prompt to the last output of a model.

    For the recorded model 8e-6: six times what two processors were seen to differ by, and less than half of what leaving out the
    epsilon of the norms does (`tests/policies/nora/model/test_reference.py`).
    """
    text, vision = config.text, config.backbone["vision_config"]
    heads = vision["hidden_size"] // vision.get("num_heads", 1)
    sums = [2 * 3 * config.patch**2, 2 * config.merge**2 * vision["hidden_size"]]
    sums += _layers(vision["depth"], vision["hidden_size"], heads, vision["intermediate_size"])
    sums += [
        *_layers(text["num_hidden_layers"], text["hidden_size"], config.head_size, text["intermediate_size"]),
        text["hidden_size"],
    ]
    if config.expert:
        expert = config.expert
        sums += _layers(text["num_hidden_layers"], expert.hidden_size, config.head_size, expert.intermediate_size)
    return rounding(sums)


def _layers(count: int, hidden: int, head: int, mlp: int) -> list[int]:
    """Queries and keys, scores, output, up, down."""
    return count * [hidden, head, hidden, hidden, mlp]
