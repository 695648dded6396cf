"""Other tasks that can be done in the scene of an episode, and the success rule that watches for one beside the episode's own.

Moving near: the other pairs of the three objects. Drawers: opening one of the others, which are closed at the start. Other tasks
have one object or one pair, and nothing else to do. Stays within Python 3.10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..instructions import FirstGoal
from .contacts import Snapshot
from .grid import EpisodeSetup
from .placements import as_words, objects
from .rules import DrawerRule, MoveNearRule, SuccessRule

DRAWERS = ("top", "middle", "bottom")


@dataclass(frozen=True, slots=True)
class OtherSetup:
    """Another task in an episode's scene."""

    task: str
    instruction: str
    pair: tuple[int, int] | None = None
    """Source and target among the objects of the episode."""
    drawer: str = ""


def other_setups(setup: EpisodeSetup) -> tuple[OtherSetup, ...]:
    """The other tasks of an episode's scene."""
    configuration = setup.configuration
    if configuration.task in ("open_drawer", "close_drawer"):
        others = (drawer for drawer in DRAWERS if drawer != configuration.subtask)
        return tuple(OtherSetup("open_drawer", f"open {drawer} drawer", drawer=drawer) for drawer in others)
    placed = objects(setup)
    if configuration.task != "move_near" or placed.source is None or placed.target is None:
        return ()
    names = [as_words(placement.model) for placement in placed.placements]
    pairs = ((a, b) for a in range(len(names)) for b in range(len(names)) if a != b and (a, b) != (placed.source, placed.target))
    return tuple(OtherSetup("move_near", f"move {names[a]} near {names[b]}", pair=(a, b)) for a, b in pairs)


class BothGoals:
    """An episode's own rule, which decides, and another task's beside it. See `SuccessRule` for the contract."""

    def __init__(self, own: SuccessRule, other: OtherSetup) -> None:
        """Start from the own rule, which has just been started."""
        self.own, self._first = own, FirstGoal()
        self.asked: SuccessRule = (
            own.for_pair(*other.pair) if isinstance(own, MoveNearRule) and other.pair else DrawerRule(other.drawer, opens=True)
        )

    def step(self, now: Snapshot) -> bool:
        reached = self.own.step(now)
        self._first.step(asked=bool(self.asked.step(now)), original=bool(reached))
        return reached

    def facts(self) -> dict[str, Any]:
        return self.own.facts()

    def statistics(self) -> dict[str, Any]:
        return {**self.own.statistics(), **self._first.measures()}
