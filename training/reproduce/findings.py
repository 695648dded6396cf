"""Analysis of `reproduce findings`: differences of arms, paired by training seed and initial state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from ...results.statistics.over_seeds import Design, SeedMean, hierarchical_interval, power, smallest_effect, student
from ...results.store.reader import read_run
from ...results.store.records import EpisodeRecord
from ..engine.config import TrainingError
from .experiments import ArmComparison

EFFECT = 0.08
"""Difference that the experiments were planned for."""
ROUNDING = 1e-9
"""Standard deviation below which numbers are equal."""
State = tuple[str, int, str, int]
"""Suite, task, set and index of an initial state."""


@dataclass(frozen=True, slots=True)
class ArmSeed:
    """One arm under one training seed."""

    outcomes: Mapping[State, float | None]
    """1 and 0; None for an episode that ended in an error."""
    malformed: float = 0.0
    """Share of answers that were no chunk."""
    weights: str = ""
    """SHA-256 of the evaluated weights."""


@dataclass(frozen=True, slots=True)
class AccuracySeed:
    """Accuracy of one reward under one training seed."""

    correct: int
    pairs: int

    @property
    def share(self) -> float | None:
        """Share of the pairs that the reward orders as the simulator does; None without pairs."""
        return self.correct / self.pairs if self.pairs else None


Arm = Mapping[int, ArmSeed] | Mapping[int, AccuracySeed]
"""Seed -> result."""


@dataclass(frozen=True, slots=True)
class ComparisonSummary:
    """A comparison over training seeds; shares."""

    comparison: ArmComparison
    over: SeedMean | None
    """With errors counted against the difference's direction; None where a seed has no pair with an order."""
    hierarchical: tuple[float, float] | None
    states: int
    """Common states per seed, or pairs for an accuracy."""
    discordance: float | None
    errors: int
    design: Design | None
    corrected: float = 1.0

    @property
    def problem(self) -> str | None:
        """Why nothing can be tested, or None. Equal seeds give Student's t no variation: its interval would have no width."""
        if self.over is None:
            return "a seed has no pair of candidates with different outcomes"
        return None if self.over.deviation > ROUNDING else "all seeds have the same difference, so its variation is unknown"

    @property
    def p(self) -> float:
        """P-value; 1 where nothing can be tested."""
        return 1.0 if self.over is None or self.problem else self.over.p

    @property
    def power(self) -> float | None:
        """Power at the planned effect, from the measured variation; None where none was measured."""
        return power(self.design, EFFECT) if self.design and self.design.discordance and not self.problem else None

    @property
    def detectable(self) -> float | None:
        """Smallest effect with 80 % power, from the measured variation; None where none was measured."""
        return smallest_effect(self.design) if self.design and self.design.discordance and not self.problem else None

    @property
    def verdict(self) -> str:
        """`holds`, `reversed` or `open`, of a primary comparison."""
        if self.over is None or self.problem:
            return "open"
        return "holds" if self.over.low > 0 else "reversed" if self.over.high < 0 else "open"


def compare_arms(comparison: ArmComparison, a: Mapping[int, ArmSeed], b: Mapping[int, ArmSeed]) -> ComparisonSummary:
    """B minus A, paired by seed and initial state. Raises TrainingError for seeds or states that only one arm has."""
    if set(a) != set(b):
        raise TrainingError(f"{comparison.name}: the arms have different seeds, {sorted(a)} and {sorted(b)}")
    pairs = {seed: _common(comparison, a[seed], b[seed]) for seed in sorted(a)}
    weights = task_weights({state for found in pairs.values() for state in found})
    middle = mean(_weighted(_differences(found, 0.0), weights) for found in pairs.values())
    # An episode in error counts against the direction of the difference; without errors all three means are equal.
    against = -1.0 if middle > 0 else 1.0
    by_seed = [_differences(found, against) for found in pairs.values()]
    over = student([_weighted(found, weights) for found in by_seed])
    states = [state for found in pairs.values() for state in found.values()]
    known = [(one, other) for one, other in states if one is not None and other is not None]
    discordance = sum(one != other for one, other in known) / len(known) if known else 0.0
    count = round(len(states) / len(pairs))
    within = max(discordance - over.mean**2, 0.0) / count
    between = max(over.deviation**2 - within, 0.0) ** 0.5
    design = Design(len(pairs), count, between, discordance)
    interval = hierarchical_interval(by_seed, weights)
    return ComparisonSummary(comparison, over, interval, count, discordance, len(states) - len(known), design)


def compare_accuracy(
    comparison: ArmComparison, a: Mapping[int, AccuracySeed] | float, b: Mapping[int, AccuracySeed]
) -> ComparisonSummary:
    """B's accuracy minus A's, or minus a constant, per seed; `over` is None if a seed has no pairs. Raises TrainingError."""
    if not isinstance(a, (int, float)) and set(a) != set(b):
        raise TrainingError(f"{comparison.name}: the arms have different seeds, {sorted(a)} and {sorted(b)}")
    base = {seed: a if isinstance(a, (int, float)) else a[seed].share for seed in sorted(b)}
    differences = [share - of for seed, of in base.items() if (share := b[seed].share) is not None and of is not None]
    over = student(differences) if len(differences) == len(b) else None
    return ComparisonSummary(comparison, over, None, round(mean(one.pairs for one in b.values())), None, 0, None)


Pairs = dict[State, tuple[float | None, float | None]]


def _common(comparison: ArmComparison, a: ArmSeed, b: ArmSeed) -> Pairs:
    wanted = comparison.suite
    found = {
        state: (a.outcomes[state], b.outcomes[state])
        for state in a.outcomes
        if state in b.outcomes and wanted in (None, state[0])
    }
    if not found:
        raise TrainingError(f"{comparison.name}: the arms have no initial state in common")
    return found


def _differences(pairs: Pairs, error: float) -> dict[str, list[float]]:
    """Task -> differences of its states; `error` replaces those of episodes in error, 0 counts them as failures of both."""
    found: dict[str, list[float]] = {}
    for (suite, task, _, _), (one, other) in pairs.items():
        if one is None or other is None:
            value = ((other or 0.0) - (one or 0.0)) if not error else _worst(one, other, error)
        else:
            value = other - one
        found.setdefault(f"{suite}/{task}", []).append(value)
    return found


def _worst(one: float | None, other: float | None, direction: float) -> float:
    """The smallest possible difference (`direction` -1) or the largest (1)."""
    lower, upper = (0.0, 1.0) if direction < 0 else (1.0, 0.0)
    return (lower if other is None else other) - (upper if one is None else one)


def task_weights(states: set[State]) -> dict[str, float]:
    """Task -> share of the mean: suites weigh equally, and tasks within them."""
    tasks = {(suite, task) for suite, task, _, _ in states}
    suites = {suite for suite, _ in tasks}
    size = {suite: sum(1 for other, _ in tasks if other == suite) for suite in suites}
    return {f"{suite}/{task}": 1 / len(suites) / size[suite] for suite, task in sorted(tasks)}


def _weighted(differences: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> float:
    return sum(weights[task] * mean(values) for task, values in differences.items())


def rate(arm: ArmSeed) -> float:
    """Success rate; suites and tasks weigh equally, and an error is a failure."""
    weights = task_weights(set(arm.outcomes))
    by_task: dict[str, list[float]] = {}
    for (suite, task, _, _), outcome in arm.outcomes.items():
        by_task.setdefault(f"{suite}/{task}", []).append(outcome or 0.0)
    return _weighted(by_task, weights)


# Reading


def read_arm(folders: Mapping[int, Path]) -> dict[int, ArmSeed]:
    """Seed -> results of its run. Raises StoreError."""
    return {seed: _arm_seed(folder) for seed, folder in folders.items()}


def _arm_seed(folder: Path) -> ArmSeed:
    run = read_run(folder)
    outcomes = {_state(record): None if record.success is None else float(record.success) for record in run.records}
    answers = sum(sum(record.chunk_status.values()) for record in run.records)
    bad = sum(count for record in run.records for status, count in record.chunk_status.items() if status != "ok")
    fingerprint = (run.metadata.policy or {}).get("fingerprint") or {}
    return ArmSeed(outcomes, bad / answers if answers else 0.0, str(dict(fingerprint).get("weights_sha256", "")))


def _state(record: EpisodeRecord) -> State:
    return record.suite, record.task_id, record.init_set, record.init_state


ACCURACY = "accuracy.json"
"""File of a measurement: labels -> reward -> phase -> [correct, pairs]; the phase `all` contains every pair."""


def read_accuracy(folders: Mapping[int, Path], labels: str, reward: str, phase: str = "all") -> dict[int, AccuracySeed]:
    """Seed -> accuracy of one reward. `labels` is the name of a label set without its seed. Raises TrainingError."""
    found = {}
    for seed, folder in folders.items():
        correct, pairs = read_json(folder / ACCURACY)[f"{labels}-seed{seed}"][reward].get(phase, (0, 0))
        found[seed] = AccuracySeed(correct, pairs)
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Content of a measurement's file. Raises TrainingError."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: {error}. Remove {path.parent} and its record in stages/, and type the same command"
        ) from None
