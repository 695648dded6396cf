"""Data settings of supervised fine-tuning, and the scaling of actions that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...envs.errors import PolicyError
from ...policies.adapters import NormStats
from ...policies.nora.action_stats import Statistics
from ..data import action_stats
from ..data.dataset import PadActions, statistics
from ..data.demonstrations import DataError, Demonstration

POOLED = "all"


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Which examples, and how their actions are scaled."""

    frame_stride: int = 2
    """Control steps from one image to the next."""
    validation: float = 0.05
    """Share of the episodes for the validation loss."""
    pad_actions: PadActions = "repeat"
    """Actions after an episode's last one; see `dataset.Chunking`. Padded actions are masked in the flow loss."""
    keep_noops: bool = True
    """Keep steps without motion; false drops them as the papers do."""
    label_smoothing_steps: float = 0.0
    """Standard deviation, in steps, of Gaussian smoothing of the labels along time; 0 does not smooth."""
    statistics: Literal["suite", "shared", "start"] = "suite"
    """Bounds of the actions: of each suite, of all together, or those of the initial checkpoint."""
    floor: float = 0.02
    """Smallest half range of an action component."""
    scale_gripper: bool = False
    """Gripper opening as -1 and 1 instead of 0 and 1."""
    clip: bool = True
    """Clip normalised actions to [-1, 1] (RLDS training); NORA-1.5's loader does not."""


def bounds(
    demonstrations: Sequence[Demonstration], settings: DataSettings, start: Mapping[str, Any]
) -> tuple[dict[str, NormStats], dict[str, Any]]:
    """(suite -> bounds, table for `norm_stats.json`).

    Args:
        demonstrations: those to learn from.
        settings: how the actions are scaled.
        start: statistics of the checkpoint that training starts from.
    """
    suites = sorted({d.suite for d in demonstrations})
    if settings.statistics == "start":
        if not start:
            raise DataError(f"the checkpoint has no statistics for {', '.join(suites)}; take statistics: suite or shared")
        known = Statistics(start, None)
        try:
            return {suite: known.of(suite) for suite in suites}, dict(start)
        except PolicyError as error:
            raise DataError(
                f"the checkpoint has no statistics for its demonstrations: {error}; take statistics: suite or shared"
            ) from None
    if settings.statistics == "shared":
        pooled = statistics([replace(d, suite=POOLED) for d in demonstrations])[POOLED]
        measured = dict.fromkeys(suites, pooled)
    else:
        measured = statistics(demonstrations)
    stats = {suite: _bounds(entry, settings) for suite, entry in measured.items()}
    return stats, {suite: _entry(measured[suite], used) for suite, used in stats.items()}


def _bounds(entry: Mapping[str, Any], settings: DataSettings) -> NormStats:
    used = action_stats.bounds(entry, floor=settings.floor)
    if not settings.scale_gripper:
        return used
    return NormStats(np.append(used.low[:-1], 0.0), np.append(used.high[:-1], 1.0), np.ones(len(used.low), bool))


def _entry(measured: Mapping[str, Any], used: NormStats) -> dict[str, Any]:
    action = {**measured["action"], "q01": used.low.tolist(), "q99": used.high.tolist(), "mask": used.mask.tolist()}
    return {**measured, "action": action}
