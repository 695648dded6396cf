"""Normalisation statistics by name: of the checkpoint, else the published ones; and which of them a suite uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from ...envs.errors import PolicyError
from ...envs.types import Array
from ..adapters import NormStats
from .action_stats_files import table
from .action_stats_names import PUBLISHED, statistics_key

BOUNDS = (("q01", "q99"), ("min", "max"))
"""Pairs of numbers that map to -1 and +1; where an entry has both pairs, the first: the family is trained on quantiles."""


def published() -> Mapping[str, Any]:
    """Data set -> q01, q99, mask. The numbers and their sources are in `statistics.json`."""
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("statistics.json").read_text(encoding="utf-8"))["statistics"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The statistics that scale a suite's actions."""

    name: str
    source: str
    """File of the checkpoint, or `published`."""
    by: str
    """`suite`: found by the suite's name; `option`: named by the user."""
    entry: Mapping[str, Any]
    """The numbers as in the source."""

    def facts(self) -> dict[str, str]:
        """JSON-able: everything but the numbers; of those, their digest and the names of the pair in use."""
        numbers = entry_of_action(self.name, self.entry)
        used = {key: numbers[key] for pair in BOUNDS if set(pair) <= set(numbers) for key in (*pair, "mask") if key in numbers}
        kind = next(("/".join(pair) for pair in BOUNDS if set(pair) <= set(numbers)), "unknown")
        digest = hashlib.sha256(json.dumps(used or numbers, sort_keys=True, default=str).encode()).hexdigest()
        return {"name": self.name, "source": self.source, "by": self.by, "numbers": kind, "sha256": digest}


class Statistics:
    """All statistics that a checkpoint's policy can use."""

    def __init__(
        self, own: Mapping[str, Any], requested: str | None, *, source: str = "norm_stats", scaled_gripper: bool | None = None
    ) -> None:
        """`own` are the checkpoint's, in any layout: where there are some, published ones are used only on request.

        Args:
            own: of `action_stats_files.own_statistics`, or as read from a file; may be empty.
            wanted: a name for every suite, `published` for the published ones of each suite, or None.
            source: file of `own`, for messages and records.
            scaled_gripper: whether the gripper is scaled, for statistics without a mask.
        """
        own = table(own)
        self.known: dict[str, Any] = dict(own) if own and requested != PUBLISHED else dict(published())
        self.source = source if own and requested != PUBLISHED else PUBLISHED
        self.requested = requested
        self.scaled_gripper = scaled_gripper

    def key(self, suite: str) -> str:
        """Name of the statistics for a suite. Raises PolicyError naming the known ones."""
        return self.chosen(suite).name

    def chosen(self, suite: str) -> Chosen:
        """The statistics that a suite uses, and their source. Raises PolicyError naming the known ones."""
        by = "option" if self.requested else "suite"
        if self.source == PUBLISHED:
            name = statistics_key(suite, self.known, None if self.requested == PUBLISHED else self.requested)
            return Chosen(name, PUBLISHED, by, self.known[name])
        try:
            name = statistics_key(suite, self.known, self.requested, self.source)
        except PolicyError as error:
            if self.requested and self.requested in (offered := published()):
                return Chosen(self.requested, PUBLISHED, by, offered[self.requested])
            raise PolicyError(f"{error}, or statistics={PUBLISHED} for the published ones") from None
        return Chosen(name, self.source, by, self.known[name])

    def of(self, suite: str) -> NormStats:
        """The statistics for a suite. Raises PolicyError."""
        chosen = self.chosen(suite)
        return norm_stats(chosen.name, chosen.entry, self.scaled_gripper)


def entry_of_action(name: str, entry: Any) -> Mapping[str, Any]:
    """The numbers of an action in one data set's statistics. Raises PolicyError where there are none."""
    numbers = entry.get("action", entry) if isinstance(entry, Mapping) else None
    if not isinstance(numbers, Mapping):
        raise PolicyError(f"statistics {name} are not q01, q99 and mask of an action: they are a {type(entry).__name__}")
    return numbers


def norm_stats(name: str, entry: Any, scaled_gripper: bool | None = None) -> NormStats:
    """The bounds of one data set's statistics. Raises PolicyError where one is missing: nothing is filled in.

    Args:
        name: of the data set, for messages.
        entry: {"action": numbers}, or the numbers.
        scaled_gripper: the gripper's mask, where the statistics have no mask.
    """
    numbers = entry_of_action(name, entry)
    pair = next((pair for pair in BOUNDS if set(pair) & set(numbers)), None)
    if pair is None or not set(pair) <= set(numbers):
        raise PolicyError(
            f"statistics {name} are not q01, q99 and mask of an action: they have {', '.join(numbers) or 'nothing'}. Actions "
            "of [-1, 1] are scaled with q01 and q99, or with min and max; mean and std belong to models of another kind"
        )
    try:
        low, high = (np.asarray(numbers[key], float) for key in pair)
        if low.ndim != 1 or not np.isfinite([*low, *high]).all():
            raise ValueError(f"{pair[0]} and {pair[1]} must be lists of finite numbers")
        mask = _mask(name, numbers, len(low), scaled_gripper)
    except (TypeError, ValueError, OverflowError) as error:
        raise PolicyError(f"statistics {name} are not {pair[0]}, {pair[1]} and mask of an action: {error}") from None
    if not low.shape == high.shape == mask.shape:
        raise PolicyError(
            f"statistics {name}: {pair[0]}, {pair[1]} and mask have {low.size}, {high.size} and {mask.size} numbers"
        )
    if (low > high).any():
        raise PolicyError(f"statistics {name}: {pair[0]} is above {pair[1]} in number {int((low > high).argmax())} of an action")
    return NormStats(low, high, mask)


def _mask(name: str, numbers: Mapping[str, Any], size: int, scaled_gripper: bool | None) -> Array:
    if "mask" in numbers:
        mask = np.asarray(numbers["mask"])
        if mask.dtype != bool:
            raise ValueError("mask must be a list of true and false")
        return mask
    if scaled_gripper is None:
        raise PolicyError(
            f"statistics {name} have no mask, so whether the gripper is scaled is not known; "
            "add --policy-arg scaled_gripper=true (it is, like the rest) or scaled_gripper=false (it is an opening from 0 to 1)"
        )
    return np.array([True] * (size - 1) + [scaled_gripper])
