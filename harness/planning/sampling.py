"""A fair part of a task that has variants: which episodes `--episodes N` plays.

Variants take turns: every one is played before one is played twice, and any N is a beginning of every larger N, so that a
longer run only adds episodes. Turns go through the variants in steps that jump between subtasks and looks, and each turn
moves on through the initial states in steps that jump over the whole table; nothing is drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

GOLDEN = (3 - math.sqrt(5)) / 2
"""Share of a circle after which points that are added one by one stay evenly spread."""


def spread(variants: Sequence[str], states: Sequence[int], count: int) -> list[tuple[str, int]]:
    """`count` (variant, initial state) pairs, those of a variant together and both in the order given."""
    turns = _turns(len(variants), len(states))
    chosen = {next(turns) for _ in range(min(count, len(variants) * len(states)))}
    return [(variants[v], states[s]) for v, s in sorted(chosen)]


def _turns(variants: int, states: int) -> Iterator[tuple[int, int]]:
    """Every (variant, state) once, by places in their lists."""
    order = _scattered(variants)
    places = _scattered(states)
    stride = next(n for n in range(variants, variants + states) if math.gcd(n, states) == 1)
    for turn in range(states):
        for number, variant in enumerate(order):
            yield variant, places[(turn * stride + number) % states]


def _scattered(size: int) -> list[int]:
    """The numbers below `size`, every beginning of the list evenly spread over them."""
    wanted = GOLDEN * size
    step = min((n for n in range(1, size + 1) if math.gcd(n, size) == 1), key=lambda n: abs(n - wanted))
    return [index * step % size for index in range(size)]
