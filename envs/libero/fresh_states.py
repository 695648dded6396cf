"""Fresh initial states: states of LIBERO's own distribution that no published evaluation used.

Two sources (`fresh_states.json` freezes both):

- `stored`: LIBERO ships unpruned `.init` files beside the `.pruned_init` files of its evaluations. The published states are the
  first 50 rows that survived pruning; the rows behind the last of them were never used.
- `sampled`: where no unused rows are shipped (libero_object, libero_goal), LIBERO's own placement samplers, seeded from the key.

Either way a state is admitted if it passes `sim.fresh_states.problem`; admitted states are numbered in order. Every
state is compared with its frozen digest before it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..errors import SuiteError
from .init_states import REINSTALL, load_init_states

DIGITS = 12
"""Hex digits of a frozen digest."""


@dataclass(frozen=True, slots=True)
class FreshStates:
    """The fresh initial states of one task."""

    source: str
    """`stored` or `sampled`."""
    rows: tuple[int, ...]
    """For each state the row of the `.init` file, or the number of the attempt that was admitted."""
    digests: tuple[str, ...]
    """For each state the first digits of its SHA-256."""

    def require(self, name: str, number: int, row: np.ndarray) -> None:
        """Raise SuiteError where a state is not the frozen one."""
        if digest(row) != self.digests[number]:
            raise SuiteError(
                f"fresh initial state {number} of {name} is not the frozen one: LIBERO, robosuite or numpy differ. {REINSTALL}"
            )


def digest(row: np.ndarray) -> str:
    """First digits of the SHA-256 of a state as float64 little-endian."""
    return hashlib.sha256(np.ascontiguousarray(row, "<f8").tobytes()).hexdigest()[:DIGITS]


@cache
def _table() -> Mapping[str, Mapping[str, object]]:
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("fresh_states.json").read_text(encoding="utf-8"))


def fresh_states_of(suite: str, task_id: int) -> FreshStates | None:
    """The fresh states of one task; None where there are none."""
    entry = _table().get(f"{suite}/{task_id}")
    return FreshStates(str(entry["source"]), tuple(entry["rows"]), tuple(entry["sha256"])) if entry else None  # type: ignore[arg-type]


def fresh_count(suite: str, task_id: int) -> int:
    """Number of fresh states of one task."""
    states = fresh_states_of(suite, task_id)
    return len(states.rows) if states else 0


def unused_rows(folder: Path, task: str, length: int) -> dict[int, np.ndarray]:
    """Row number -> state, for the rows of a task's `.init` file behind the last published one; empty without that file.

    Args:
        folder: with the files of one suite.
        task: name of the task.
        length: of a state, `1 + nq + nv`.
    """
    path = folder / f"{task}.init"
    if not path.is_file():
        return {}
    rows = load_init_states(path, length)
    published = {row.tobytes() for row in load_init_states(folder / f"{task}.pruned_init", length)}
    last = max((index for index, row in enumerate(rows) if row.tobytes() in published), default=-1)
    return {index: rows[index] for index in range(last + 1, len(rows))}
