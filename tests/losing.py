"""Policies that lose episodes instead of failing them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fakes import Walk
from nora_bench.policies.base import ActionChunk, EpisodeStateLost, Observation


class Loser(Walk):
    """Walks, and loses the episodes of one task at their second decision, `times` each."""

    def __init__(self, times: int = 1, task: int = 1) -> None:
        super().__init__()
        self.times = times
        self.task = task
        self.lost: dict[str, int] = {}

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        due = [o.key for o in observations if o.decision == 1 and o.spec.task_id == self.task]
        due = [key for key in due if self.lost.get(key, 0) < self.times]
        for key in due:
            self.lost[key] = self.lost.get(key, 0) + 1
        if due:
            raise EpisodeStateLost(dict.fromkeys(due, "connection lost"))
        return super().act(observations)


class Crasher(Walk):
    """Walks; ends the run at the second decision of an episode while `notes` holds fewer than `times` files."""

    def __init__(self, notes: Path, times: int = 1, how: str = "raise", measures: float | None = None) -> None:
        super().__init__()
        self.notes = notes
        self.times = times
        self.how = how
        self.measures = measures

    def metrics(self) -> dict[str, float]:
        return {} if self.measures is None else {"calls": self.measures}

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        self._crash("act", any(one.decision == 1 for one in observations))
        return super().act(observations)

    def end_episode(self, key: str) -> None:
        self._crash("end_episode", True)

    def _crash(self, method: str, due: bool) -> None:
        self.notes.mkdir(exist_ok=True)
        done = len(list(self.notes.iterdir()))
        if not due or done >= self.times or (self.how == "end_episode") != (method == "end_episode"):
            return
        (self.notes / str(done)).touch()
        if self.how == "exit":
            os._exit(1)
        if self.how == "interrupt":
            raise KeyboardInterrupt
        raise RuntimeError("out of ideas")
