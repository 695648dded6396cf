"""Instructions of a task beside its own: other wordings of it, and other tasks of the same scene."""

from __future__ import annotations

from dataclasses import dataclass

LEXICAL, STRUCTURAL, PRAGMATIC, TYPO = KINDS = ("lexical", "structural", "pragmatic", "typo")
"""Kinds of wordings: other words in the same order; the same words in another order or form of sentence; an indirect or polite
request, or the goal stated instead of the action; typing errors."""


@dataclass(frozen=True, slots=True)
class Wording:
    """An instruction in other words: the same objects and the same goal."""

    text: str
    kind: str
    """One of `KINDS`."""
    source: str
    """Author, or the rule that made it."""


@dataclass(frozen=True, slots=True)
class OtherTask:
    """Another task that can be done in a scene."""

    suite: str
    task_id: int
    instruction: str


ASKED_GOAL, ORIGINAL_GOAL = "asked_goal", "original_goal"
"""Measures of an episode with another task's instruction: the goal of that task was reached first; the episode's own was."""


class FirstGoal:
    """Which of two goals was reached first in an episode, the one asked for or the episode's own."""

    def __init__(self) -> None:
        self.asked = self.original = False

    def step(self, *, asked: bool, original: bool) -> None:
        """Take note of the goals that hold after a control step."""
        if not (self.asked or self.original):
            self.asked, self.original = asked, original

    def measures(self) -> dict[str, bool]:
        """Neither where none was reached, both where one step reached both."""
        return {ASKED_GOAL: self.asked, ORIGINAL_GOAL: self.original}
