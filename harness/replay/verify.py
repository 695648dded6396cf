"""Does a stored run hold? Its files are examined, and a random sample of its episodes is played again on this machine.

What a reviewer of somebody else's numbers runs. An episode holds where its replay from the recorded actions gives the
recorded states to the bit, and with them the recorded success. That the policy would answer with these actions again is
nothing that a replay can show: the policy is not asked.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from ...envs.base import SimulationError
from ...envs.errors import SuiteError
from ...results.store.integrity import faults
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ..errors import InputError
from .replay import Verdict, replaying


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of verifying a run."""

    run: str
    records: int
    faults: tuple[str, ...]
    """What is wrong with the files."""
    replayed: int
    differing: tuple[str, ...]
    """Episodes that did not hold, with the reason."""

    @property
    def holds(self) -> bool:
        """Whether everything that was looked at is as recorded, and something was looked at."""
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


def draw(records: Sequence[EpisodeRecord], share: float, seed: int) -> list[EpisodeRecord]:
    """A random sample of the scored episodes, at least one, in an order that builds each suite and task once."""
    scored = sorted((record for record in records if record.success is not None), key=lambda record: record.key)
    size = min(len(scored), max(1, math.ceil(share * len(scored))))
    chosen = random.Random(seed).sample(scored, size)
    return sorted(chosen, key=lambda record: (record.suite, record.task_id, record.variant, record.init_state, record.seed))


def verify(
    run: StoredRun,
    sample: Sequence[EpisodeRecord],
    *,
    assets: str = "",
    trusted: Collection[str] = (),
    note: Callable[[EpisodeRecord], None] = lambda record: None,
) -> Verification:
    """Examine a run's files, and play the sample's episodes again.

    Args:
        run: the run, as read from its folder.
        sample: records of it.
        assets: pack or folder; empty for the one that the run was played with.
        trusted: see `replay.replay`.
        note: called before each replay.

    Raises:
        SuiteError, MissingRequirementError, InputError: no world can be built here, so nothing can be said.
    """
    found = faults(run)
    differing: list[str] = []
    for suite, records in groupby(sample, key=lambda record: record.suite):
        with replaying(run, suite, assets=assets, trusted=trusted) as play:
            for record in records:
                note(record)
                differing += (f"{record.key}: {reason}" for reason in _differences(record, play))
    return Verification(run.name, len(run.records), found, len(sample), tuple(differing))


def _differences(record: EpisodeRecord, play: Callable[[EpisodeRecord], Verdict]) -> Iterator[str]:
    try:
        verdict = play(record)
    except (InputError, SimulationError, SuiteError) as error:
        yield f"cannot be played: {error}"
        return
    if not verdict.same:
        yield "; ".join(["its replay is NOT the recorded trajectory", *verdict.differences])
    outcome, recorded = (verdict.replayed_success, verdict.steps), (record.success, record.steps)
    if outcome != recorded:
        yield "recorded success {} after {} steps, replayed {} after {}".format(*recorded, *outcome)
