"""Action statistics: scaling of a data set's actions to [-1, 1], in the layout that policies load.

The gripper is not scaled: LIBERO's command (-1 open, +1 close) becomes the opening that the family predicts (1 open, 0 closed).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...envs.types import Array
from ...policies.adapters import NormStats
from .demonstrations import DataError

FILE = "norm_stats.json"
"""File beside a checkpoint's weights."""
Bounds = Literal["quantiles", "extremes"]
"""`quantiles`: 1st and 99th percentile, which the papers use. `extremes`: minimum and maximum (NORA's LeRobot loader)."""


def openings(actions: Array) -> Array:
    """LIBERO's actions with the opening (1 open, 0 closed) instead of the gripper command."""
    opened = np.array(actions, np.float64)
    opened[..., -1] = 1.0 - np.clip(opened[..., -1], 0.0, 1.0)
    return opened


def measure(episodes: Iterable[Array]) -> dict[str, Any]:
    """JSON-able statistics of actions [steps, action size] of all episodes, as `norm_stats.json` has them for one data set."""
    arrays = [np.asarray(actions, np.float64) for actions in episodes]
    if not arrays or not sum(map(len, arrays)):
        raise DataError("no actions to compute statistics from")
    actions = np.concatenate(arrays)
    rows = {
        "mean": actions.mean(axis=0),
        "std": actions.std(axis=0),
        "min": actions.min(axis=0),
        "max": actions.max(axis=0),
        "q01": np.quantile(actions, 0.01, axis=0),
        "q99": np.quantile(actions, 0.99, axis=0),
    }
    size = actions.shape[1]
    action = {**{name: row.tolist() for name, row in rows.items()}, "mask": [True] * (size - 1) + [False]}
    return {"action": action, "num_transitions": len(actions), "num_trajectories": len(arrays)}


def bounds(measured: Mapping[str, Any], which: Bounds = "quantiles", *, floor: float = 0.0) -> NormStats:
    """Bounds that map to -1 and +1.

    Args:
        measured: from `measure`, or one entry of a `norm_stats.json`.
        which: see `Bounds`.
        floor: smallest half range, so that a nearly constant component is not amplified.
    """
    action = measured["action"]
    low, high = (np.array(action[name], float) for name in (("q01", "q99") if which == "quantiles" else ("min", "max")))
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, floor)
    mask = np.array(action["mask"], bool)
    return NormStats(np.where(mask, middle - half, low), np.where(mask, middle + half, high), mask)


def normalise(actions: Array, stats: NormStats, *, clip: bool = True) -> Array:
    """[..., action size] in [-1, 1], the inverse of `NormStats.unnormalise`; a component without a range becomes 0.

    Args:
        actions: in the data set's units.
        stats: the bounds; components outside their mask stay unchanged.
        clip: clip to [-1, 1] (RLDS training); the LeRobot loader of NORA-1.5 does not.
    """
    span = stats.high - stats.low
    safe = np.where(span > 0, span, 1.0)
    scaled = np.where(span > 0, 2.0 * (actions - stats.low) / safe - 1.0, 0.0)
    return np.where(stats.mask, np.clip(scaled, -1.0, 1.0) if clip else scaled, actions)


def write(path: Path, measured: Mapping[str, Mapping[str, Any]], stats: Mapping[str, NormStats] | None = None) -> None:
    """Write a `norm_stats.json` with one entry per data set; `stats` replace the measured q01 and q99."""
    table = {name: dict(entry) for name, entry in measured.items()}
    for name, used in (stats or {}).items():
        table[name]["action"] = {**table[name]["action"], "q01": used.low.tolist(), "q99": used.high.tolist()}
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
