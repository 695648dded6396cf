"""Even sample of the episodes of a task with variants, for `--episodes N`.

Every variant runs once before any runs twice, and the sample for N is contained in that for every larger N, so that a longer run
only adds episodes. Each pass visits the variants with a stride that jumps between subtasks and appearances, and successive passes
move through the initial states with a stride that covers the whole table; nothing is random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

GOLDEN = (3 - math.sqrt(5)) / 2
"""Golden angle as a share of a circle: points added one by one at this angle stay evenly spread."""


def spread_evenly(variants: Sequence[str], states: Sequence[int], count: int) -> list[tuple[str, int]]:
    """`count` (variant, initial state) pairs, grouped by variant, both in the order given."""
    pairs = _passes(len(variants), len(states))
    chosen = {next(pairs) for _ in range(min(count, len(variants) * len(states)))}
    return [(variants[v], states[s]) for v, s in sorted(chosen)]


def _passes(variants: int, states: int) -> Iterator[tuple[int, int]]:
    """Every (variant index, state index) once, in sampling order."""
    order = _low_discrepancy(variants)
    places = _low_discrepancy(states)
    stride = next(n for n in range(variants, variants + states) if math.gcd(n, states) == 1)
    for turn in range(states):
        for number, variant in enumerate(order):
            yield variant, places[(turn * stride + number) % states]


def _low_discrepancy(size: int) -> list[int]:
    """A permutation of range(size), every prefix of which is evenly spread."""
    target = GOLDEN * size
    step = min((n for n in range(1, size + 1) if math.gcd(n, size) == 1), key=lambda n: abs(n - target))
    return [index * step % size for index in range(size)]
