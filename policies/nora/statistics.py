"""Normalisation statistics by name: of the checkpoint, else the published ones; which one a suite takes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Any

import numpy as np

from ...envs.registry import nearest
from ..adapters import NormStats
from ..base import PolicyError

SUITE_PREFIXES = {
    "google": "fractal20220817_data",
    "simpler": "fractal20220817_data",
    "fractal": "fractal20220817_data",
    "widowx": "bridge_orig",
    "bridge": "bridge_orig",
}
"""Beginning of a suite's name -> data set of its robot, for suites that are no data set themselves."""


def published() -> Mapping[str, Any]:
    """Data set -> q01, q99, mask. The numbers and where they come from are in `statistics.json`."""
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("statistics.json").read_text(encoding="utf-8"))["statistics"]


def statistics_key(suite: str, known: Collection[str], wanted: str | None) -> str:
    """The name among `known` that is wanted, else the suite's own, without no-ops, or its robot's; a data set's version may
    follow after a slash. Raises PolicyError naming what there is."""
    robot = next((key for prefix, key in SUITE_PREFIXES.items() if suite.startswith(prefix)), suite)
    there = {short: name for name in known for short in (name.partition("/")[0], name)}
    for name in [wanted] if wanted else [suite, f"{suite}_no_noops", robot]:
        if name in there:
            return there[name]
    asked = wanted or suite
    raise PolicyError(
        f"no normalisation statistics for {asked!r}{nearest(asked, known)}; "
        f"add --policy-arg statistics=NAME with one of {', '.join(sorted(known))}"
    )


class Statistics:
    """All statistics that a checkpoint's policy can use."""

    def __init__(self, own: Mapping[str, Any], wanted: str | None) -> None:
        """`own` are the checkpoint's (they win over published ones of that name), `wanted` is a name for every suite or None."""
        self.known = {**published(), **own}
        self.wanted = wanted

    def key(self, suite: str) -> str:
        """Name of the statistics for a suite. Raises PolicyError naming what there is."""
        return statistics_key(suite, self.known, self.wanted)

    def of(self, suite: str) -> NormStats:
        """The statistics for a suite. Raises PolicyError."""
        name = self.key(suite)
        try:
            entry = self.known[name].get("action", self.known[name])
            low, high = (np.asarray(entry[a] if a in entry else entry[b], float) for a, b in (("q01", "min"), ("q99", "max")))
            mask = np.asarray(entry.get("mask", [True] * (len(low) - 1) + [False]), bool)
            if low.ndim != 1 or not np.isfinite([*low, *high]).all():
                raise ValueError("q01 and q99 must be lists of finite numbers")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise PolicyError(f"statistics {name} are not q01, q99 and mask of an action: {error}") from None
        if not low.shape == high.shape == mask.shape:
            raise PolicyError(f"statistics {name}: q01, q99 and mask have {low.size}, {high.size} and {mask.size} numbers")
        return NormStats(low, high, mask)
