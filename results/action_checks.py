"""Checks of a policy's actions against the suite's convention: statistics per record, warnings per run.

A model that outputs absolute poses, degrees or a gripper from 0 to 1 violates no contract and never succeeds. The warnings name
a suspicion with its likely cause; no rate depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from ..envs.base import Array
from ..envs.specs import ActionConvention

if TYPE_CHECKING:
    from .store.reader import StoredRun
    from .store.records import EpisodeRecord

MANY = 0.2
"""Suspicious share of an episode's numbers outside the bounds."""
FAR = 0.15
"""Mean of a displacement from which it may be a position: over an episode, displacements back and forth cancel."""
STEADY = ((80, 3.0), (20, 12.0))
"""(steps, mean by standard deviation) from which a displacement hardly changes, for long and for short episodes. The packaged
recordings of the scripted expert reach 1.0 over whole episodes of 80 steps and more, 7.8 over their first 20."""
WHERE = "docs/guide/policies.md, Meaning of actions"


def measure(actions: Array, convention: ActionConvention | None) -> dict[str, float]:
    """Statistics of an episode's executed actions, [steps, action size]; empty without a convention or steps."""
    if convention is None or not actions.size:
        return {}
    low, high = convention.bounds
    found = {"outside": float(((actions < low) | (actions > high)).mean())}
    if convention.translation:
        moved = actions[:, list(convention.translation)]
        means, spreads = moved.mean(axis=0), moved.std(axis=0)
        at = int(np.abs(means).argmax())
        found |= {"translation_mean": float(means[at]), "translation_spread": float(spreads[at])}
    if convention.gripper is not None:
        command = actions[:, convention.gripper]
        found |= {"gripper_negative": float((command < 0).mean()), "gripper_positive": float((command > 0).mean())}
    return {name: round(value, 6) for name, value in found.items()}


def action_warnings(run: StoredRun, records: Iterable[EpisodeRecord]) -> Iterator[str]:
    """Warnings on the actions of a run's episodes, one line each."""
    checked = [record for record in records if record.success is not None and record.action_checks]
    if not checked:
        return
    yield from _outside(checked)
    yield from _steady(checked)
    yield from _one_way(checked, shortened=bool((run.metadata.config or {}).get("max_steps")))


def _outside(checked: Sequence[EpisodeRecord]) -> Iterator[str]:
    cut = [share for record in checked if (share := record.action_checks.get("outside", 0.0)) > MANY]
    if 2 * len(cut) > len(checked):
        yield (
            f"in {len(cut)} of {len(checked)} episodes many numbers of the actions (half of these episodes: {median(cut):.0%} or "
            f"more) are outside the suite's bounds: absolute poses, degrees or millimetres? See {WHERE}"
        )


def _steady(checked: Sequence[EpisodeRecord]) -> Iterator[str]:
    steady = [record for record in checked if _is_steady(record.steps, record.action_checks)]
    if 2 * len(steady) > len(checked):
        mean = median(record.action_checks["translation_mean"] for record in steady)
        yield (
            f"in {len(steady)} of {len(checked)} episodes the end effector moves one way at every step (a component stays near "
            f"{mean:.2f}): absolute positions instead of displacements? See {WHERE}"
        )


def _is_steady(steps: int, found: Mapping[str, float]) -> bool:
    mean, spread = abs(found.get("translation_mean", 0.0)), found.get("translation_spread", 0.0)
    ratio = next((ratio for least, ratio in STEADY if steps >= least), float("inf"))
    return mean >= FAR and mean >= ratio * spread and ratio < float("inf")


def _one_way(checked: Sequence[EpisodeRecord], *, shortened: bool) -> Iterator[str]:
    """Every task starts with an open gripper: without any opening command the convention differs; without any closing command
    too, unless `--max-steps` ended the episodes early."""
    known = [record for record in checked if "gripper_negative" in record.action_checks]
    if not any(record.termination == "budget" for record in known):
        return
    opened, closed = (any(record.action_checks[f"gripper_{sign}"] for record in known) for sign in ("negative", "positive"))
    if closed and not opened:
        yield (
            f"the gripper received no command to open (no negative command in {len(known)} episodes): a gripper from 0 to 1, or "
            f"1 for open? See {WHERE}"
        )
    elif opened and not closed and not shortened:
        count = len(known)
        yield f"the gripper received no command to close (no positive command in {count} episodes): an inverted sign? See {WHERE}"
