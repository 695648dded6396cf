"""Agreement of simulated and real success rates over policies, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ...envs.errors import InputError
from ..conditions import conditions
from ..rates import Rate, rate
from ..store.reader import StoredRun
from .comparison import require_comparable_groups
from .families import overall_column
from .pairing import common_scenes, whole_run

FEWEST = 3
"""Fewest policies for a correlation: that of two is always 1 or -1."""
DRAWS = 4000
"""Bootstrap samples of both sides' rates, for the intervals."""
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


class NotMeasurable(InputError, ValueError):
    """Agreement cannot be computed from these runs; the message names them."""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One measure of agreement with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Simulation against robot, over policies."""

    names: tuple[str, ...]
    """Policies that both sides have."""
    simulated: tuple[Rate, ...]
    real: tuple[Rate, ...]
    coefficients: Mapping[str, Coefficient | None]
    """`pearson`, `spearman`, `mmrv`; None if undefined."""
    reason: str
    """Reason for undefined coefficients; else empty."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; coefficients that are not defined are null."""
        coefficients = {name: asdict(one) if one else None for name, one in self.coefficients.items()}
        simulated, real = ([rate.to_json() for rate in side] for side in (self.simulated, self.real))
        return {"policies": list(self.names), **coefficients, "reason": self.reason, "simulated": simulated, "robot": real}


def agreement(simulated: Sequence[StoredRun], real: Sequence[StoredRun], *, anyway: bool = False, seed: int = 0) -> Agreement:
    """Agreement of the simulated success rates of policies with those on the robot.

    The rates are those of the tables: the mean over all columns that the runs of a side fill, on their common scenes.

    Raises NotMeasurable for a run that mixes conditions and for two runs of one policy on one side, ValueError for runs without a
    common scene, Incomparable if the conditions of two of a side forbid it, unless `anyway`.
    """
    sim, robot = _by_policy(simulated, anyway=anyway), _by_policy(real, anyway=anyway)
    names = tuple(name for name in sim if name in robot)
    sides = tuple(sim[name] for name in names), tuple(robot[name] for name in names)
    if len(names) < FEWEST:
        both = ", ".join(names) or "none"
        reason = f"a correlation needs at least {FEWEST} policies that both sides have; these are {len(names)}: {both}"
        return Agreement(names, *sides, {"pearson": None, "spearman": None, "mmrv": None}, reason)
    found = coefficients(*sides, seed)
    lacking = ", ".join(name for name, one in found.items() if one is None)
    reason = f"{lacking}: not defined where all rates of one side are equal" if lacking else ""
    return Agreement(names, *sides, found, reason)


def _by_policy(runs: Sequence[StoredRun], *, anyway: bool) -> dict[str, Rate]:
    """Policy -> its rate over the scenes of all runs."""
    owners: dict[str, StoredRun] = {}
    for run in runs:
        policy = _policy(run)
        if policy in owners:
            raise NotMeasurable(f"{owners[policy].name} and {run.name} are both of the policy {policy}. Omit one of them")
        owners[policy] = run
    groups = [whole_run(run) for run in runs]
    for a, b in combinations(groups, 2):
        require_comparable_groups(a, b, anyway=anyway)
    kept = common_scenes(groups)
    layout, column = overall_column(kept)
    return {policy: found for policy, group in zip(owners, kept, strict=True) if (found := rate(group, layout, column))}


def _policy(run: StoredRun) -> str:
    """The policy of a run; raises NotMeasurable for a run of several conditions."""
    own = conditions(run)
    for name, values in (("policies", own.policy), ("protocols", own.protocol), ("asset packs", own.assets)):
        if len(values) > 1:
            raise NotMeasurable(f"{run.name} mixes {name} ({', '.join(values)}), so it has no single rate")
    if not run.records:
        raise NotMeasurable(f"{run.name} has no episodes. Type: `nora-bench show {run.folder}`")
    return own.policy[0] if own.policy else run.name


def coefficients(simulated: Sequence[Rate], real: Sequence[Rate], seed: int = 0) -> dict[str, Coefficient | None]:
    """Pearson's and Spearman's correlation and the mean maximum rank violation, each with its 95 % interval.

    A parametric bootstrap: both sides' rates are sampled `DRAWS` times from Beta(k + 1/2, n - k + 1/2) with the effective number
    of episodes as n (so rates at 0 and 1 keep their uncertainty); uncertain episodes are sampled between failures and successes.
    """
    rng = np.random.default_rng(seed)
    samples = [_samples(side, rng) for side in (simulated, real)]
    points = [np.array([[(one.low.mean + one.high.mean) / 2 for one in side]]) for side in (simulated, real)]
    measures: dict[str, Measure] = {"pearson": pearson, "spearman": spearman, "mmrv": mean_maximum_rank_violation}
    return {name: _coefficient(measure, points, samples) for name, measure in measures.items()}


def _samples(side: Sequence[Rate], rng: np.random.Generator) -> np.ndarray:
    """[samples, policies] rates."""
    low, high = (np.array([getattr(one, end).mean for one in side]) for end in ("low", "high"))
    n = np.array([one.low.effective for one in side])
    mean = low + (high - low) * rng.random((DRAWS, len(side)))
    return rng.beta(mean * n + 0.5, (1 - mean) * n + 0.5)


def _coefficient(measure: Measure, points: Sequence[np.ndarray], samples: Sequence[np.ndarray]) -> Coefficient | None:
    value = float(measure(*points)[0])
    if np.isnan(value):
        return None
    low, high = np.percentile(measure(*samples), [2.5, 97.5])
    return Coefficient(value, min(value, float(low)), max(value, float(high)))


def pearson(simulated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Pearson correlation over the last axis; NaN if one side's rates are all equal.

    Args:
        simulated: [..., policies], success rates.
        real: the same on the robot.
    """
    x, y = (side - side.mean(axis=-1, keepdims=True) for side in (np.asarray(simulated, float), np.asarray(real, float)))
    equal = (np.ptp(simulated, axis=-1) == 0) | (np.ptp(real, axis=-1) == 0)
    size = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return np.where(equal, np.nan, np.clip((x * y).sum(axis=-1) / np.where(equal, 1.0, size), -1.0, 1.0))


def spearman(simulated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Rank correlation over the last axis, ties sharing their mean rank; NaN if one side's rates are all equal."""
    return pearson(*(_mean_ranks(np.asarray(side, float)) for side in (simulated, real)))


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    below = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    return below + (equal + 1) / 2


def mean_maximum_rank_violation(simulated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """MMRV (Li et al., SIMPLER, 2024) over the last axis: real performance differences that the simulator misranks; 0 is best.

    For each policy, the largest real difference to a policy that the simulator orders the other way; averaged. Not symmetric.
    """
    sim, robot = np.asarray(simulated, float), np.asarray(real, float)
    above = [side[..., :, None] > side[..., None, :] for side in (sim, robot)]
    gaps = np.abs(robot[..., :, None] - robot[..., None, :])
    return (gaps * (above[0] != above[1])).max(axis=-1).mean(axis=-1)
