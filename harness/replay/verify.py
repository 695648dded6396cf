"""Verification of a stored run: its files are checked, and a random sample of its episodes is replayed on this machine.

Meant for reviewers of other people's numbers. An episode passes where the replay of its recorded actions gives bit-identical
states, and the recorded success. The policy is not queried, so its actions are not verified.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from ...envs.errors import InputError, SuiteError
from ...results.store.integrity import faults
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ..planning.schedule import model_of
from .replay import ReplayError, ReplayResult, reason, replaying


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of verifying a run."""

    run: str
    records: int
    faults: tuple[str, ...]
    """Problems of the files."""
    replayed: int
    differing: tuple[str, ...]
    """Episodes that failed, with the reason."""

    @property
    def holds(self) -> bool:
        """Whether all checks passed, and the run has records."""
        return self.records > 0 and not self.faults and not self.differing

    @property
    def unseen(self) -> float:
        """Largest share of episodes that may differ with 5 % chance that a sample of this size shows none of them.

        Exact for a large run: (1 - share)^replayed = 0.05; 1 where nothing was replayed.
        """
        return 1 - 0.05 ** (1 / self.replayed) if self.replayed else 1.0

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with the verdict."""
        return {**asdict(self), "holds": self.holds, "unseen": round(self.unseen, 6)}


def sample_of(records: Sequence[EpisodeRecord], share: float, seed: int, left_out: Container[str] = ()) -> list[EpisodeRecord]:
    """A random sample of the scored episodes, at least one, in an order that builds each suite and task once.

    `left_out`: keys of episodes whose actions a bundle omits; the share is of all episodes, the sample of the others.
    """
    scored = sorted((record for record in records if record.success is not None), key=lambda record: record.key)
    size = max(1, math.ceil(share * len(scored)))
    scored = [record for record in scored if record.key not in left_out]
    chosen = random.Random(seed).sample(scored, min(len(scored), size))
    return sorted(chosen, key=lambda record: (*model_of(record.spec), record.init_state, record.seed))


def verify(
    run: StoredRun,
    sample: Sequence[EpisodeRecord],
    *,
    assets: str = "",
    trusted: Collection[str] = (),
    note: Callable[[EpisodeRecord], None] = lambda record: None,
    left_out: Container[str] = (),
) -> Verification:
    """Check a run's files, and replay the sample's episodes.

    Args:
        run: the run, as read from its folder.
        sample: records of it.
        assets: pack or folder; empty for the run's own.
        trusted: see `replay.replay`.
        note: called before each replay.
        left_out: keys of episodes whose actions a bundle omits.

    Raises:
        SuiteError, MissingRequirementError, InputError: the environment cannot be built here.
    """
    file_problems = faults(run, left_out=left_out)
    differing: list[str] = []
    for suite, records in groupby(sample, key=lambda record: record.suite):
        with replaying(run, suite, assets=assets, trusted=trusted) as replay_episode:
            for record in records:
                note(record)
                differing += (f"{record.key}: {reason}" for reason in _differences(record, replay_episode))
    return Verification(run.name, len(run.records), file_problems, len(sample), tuple(differing))


def _differences(record: EpisodeRecord, replay_episode: Callable[[EpisodeRecord], ReplayResult]) -> Iterator[str]:
    try:
        result = replay_episode(record)
    except (ReplayError, InputError, SuiteError) as error:
        yield f"cannot be replayed: {reason(error)}"
        return
    if not result.same:
        yield "; ".join(["the replay DIFFERS from the recorded trajectory", *result.differences])
    outcome, recorded = (result.replayed_success, result.steps), (record.success, record.steps)
    if outcome != recorded:
        yield "recorded success {} after {} steps, replayed {} after {}".format(*recorded, *outcome)
