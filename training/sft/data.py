"""Demonstrations as examples for supervised fine-tuning: pictures, chunks, and what is known of the scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...envs.errors import PolicyError
from ...envs.types import Array
from ...policies.adapters import NormStats
from ...policies.nora.action_stats import Statistics
from ..data import action_stats
from ..data.dataset import Dataset, statistics
from ..data.demonstrations import DataError, Demonstration
from ..data.scene_targets import Camera, Targets, camera_of, targets
from .objective import SftBatch
from .recipe import DataSettings

POOLED = "all"


class SftExamples:
    """A data set's examples as the objective takes them."""

    def __init__(self, dataset: Dataset, *, scenes: bool) -> None:
        """`scenes`: add what the auxiliary losses ask for; needs demonstrations with states and models."""
        self.dataset = dataset
        self._cameras: dict[str, Camera] = {}
        demonstrations = [episode.demonstration for episode in dataset.episodes]
        # By place, not by key: sets that lie side by side may hold the same episode, disturbed otherwise.
        self._targets = [targets(d, self._camera(d)) for d in demonstrations] if scenes else []

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Array) -> SftBatch:
        """The examples at these indices."""
        rows = [self.dataset[int(index)] for index in indices]
        return SftBatch(
            np.stack([row.picture for row in rows]),
            [row.instruction for row in rows],
            np.stack([row.chunk for row in rows]),
            np.stack([row.mask for row in rows]),
            _stacked([(self._targets[self.dataset.find(i)[0]], row.step) for i, row in zip(indices, rows, strict=True)])
            if self._targets
            else None,
        )

    def _camera(self, demonstration: Demonstration) -> Camera:
        """One per task: it stands still, and models are large."""
        name = f"{demonstration.suite}/{demonstration.task}"
        if name not in self._cameras:
            self._cameras[name] = camera_of(demonstration.model)
        return self._cameras[name]


def require_scenes(demonstrations: Sequence[Demonstration]) -> None:
    """Raises DataError where some do not say where things stand, as the auxiliary losses ask; the message says what helps."""
    lacking = [d for d in demonstrations if not ({"columns", "fixtures"} <= d.facts.keys() and d.robot_states.shape[1] >= 5)]
    if not lacking:
        return
    again = [d for d in lacking if d.source and d.model]
    place = again[0].source.place.parent if again and again[0].source else None
    helps = (
        f"Type: nora-bench train regenerate --data {place} --out no_noops, and train on no_noops; or take" if place else "Take"
    )
    raise DataError(
        f"the recipe's auxiliary losses (detection_weight, regression_weight) need demonstrations that say where things stand; "
        f"{len(lacking)} of {len(demonstrations)} do not, {lacking[0].key} for one. {helps} a recipe without these losses: "
        "--recipe nano-plain"
    )


def _stacked(rows: Sequence[tuple[Targets, int]]) -> Targets:
    fields = ((known.places[step], known.kinds[step], known.facts[step]) for known, step in rows)
    return Targets(*(np.stack(column) for column in zip(*fields, strict=True)))


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
