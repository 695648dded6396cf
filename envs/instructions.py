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
