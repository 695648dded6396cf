"""Faults of policies: exceptions, exits, invalid chunks."""

from __future__ import annotations

import numpy as np

from . import orders
from .bench import Bench
from .judge import ABSORBED, STOPPED, Strike
from .kinds import kind
from .policies import ANSWERS, RAISED

SAYS = {
    "raise": "RuntimeError: out of ideas",
    "leave": "SystemExit",
    "memory": "MemoryError",
    "recursion": "RecursionError",
    "nan": "actions must be finite",
    "infinite": "actions must be finite",
    "wide": r"not \[1, 3\]",
    "empty": "at least 1 step",
    "deep": "not .1, 1, 1.",
    "text": "actions must be",
    "objects": "actions must be",
    "complex": "actions must be",
    "bare": "must return ActionChunk, not ndarray",
    "nothing": "must return ActionChunk, not NoneType",
    "fewer": r"returned \d+ chunks for \d+ observations",
    "more": r"returned \d+ chunks for \d+ observations",
}


def _order(bench: Bench, rng: np.random.Generator, deed: str) -> orders.Order:
    return orders.Order("act", deed, str(rng.choice(bench.scenario.scenes)), int(rng.integers(3)))


@kind("policy's answer is no answer", *ANSWERS, "fewer", "more")
def _(bench, rng, phase):
    _order(bench, rng, phase).write(bench.folder)
    return Strike(bench.run_session(), SAYS[phase], (STOPPED,))


@kind("policy raises while acting", *RAISED)
def _(bench, rng, phase):
    _order(bench, rng, phase).write(bench.folder)
    return Strike(bench.run_session(), SAYS[phase], (STOPPED,))


@kind("policy raises elsewhere", "setup", "fingerprint", "end_episode", "close")
def _(bench, rng, phase):
    deed = str(rng.choice([*RAISED]))
    orders.Order(phase, deed).write(bench.folder)
    return Strike(bench.run_session(), f"raised in {phase}: {SAYS[deed]}", (STOPPED, ABSORBED))
