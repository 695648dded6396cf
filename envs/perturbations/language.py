"""The axis `language`: the instruction that a policy receives; states and images are those of the control.

Levels are the kinds of wordings (`envs.instructions`), `none` (the empty text) and `wrong` (the instruction of another task that
can be done in the scene). The choice among several is keyed by the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ..base import EpisodeSpec, Suite
from ..instructions import TYPO, OtherTask, Wording
from ..suites import call_suite
from .typos import typo

AXIS = "language"
NONE, WRONG = "none", "wrong"
NO_WORDS, OTHER_WORDS = f"{AXIS}-{NONE}", f"{AXIS}-{WRONG}"
"""Names of the perturbations whose instruction does not say what to do: floors, no measures of robustness."""
T = TypeVar("T")


def level_of(spec: EpisodeSpec) -> str:
    """The level of the axis in an episode; empty for other episodes."""
    axis, _, level = spec.perturbation.partition("-")
    return level if axis == AXIS else ""


def given(suite: Suite, spec: EpisodeSpec) -> str:
    """The instruction that a policy receives when the episode starts."""
    return altered(suite, spec, str(call_suite(suite, "instruction", spec)))


def altered(suite: Suite, spec: EpisodeSpec, instruction: str) -> str:
    """What a policy receives instead of one of the episode's instructions (the first, or a later one of tasks that change it).

    A later one without wordings stays as it is; `problem` excludes episodes whose first one has none.
    """
    level = level_of(spec)
    if level in ("", NONE):
        return instruction if level == "" else ""
    if level == WRONG:
        return pick(spec, level, _others(suite, spec)).instruction
    wordings = _wordings(suite, instruction, level)
    if wordings:
        return pick(spec, level, wordings).text
    return typo(instruction, _rng(spec, level)) if level == TYPO else instruction


def present(suite: Suite, spec: EpisodeSpec, first: str, changed: str) -> str:
    """The instruction at a decision: the first one, or the one that the environment changed it to (empty: not changed)."""
    return altered(suite, spec, changed) if changed else first


def pick(spec: EpisodeSpec, level: str, options: Sequence[T]) -> T:
    """The one of several options that an episode has: the same under all protocols and perturbations of its scene."""
    return options[int(_rng(spec, level).integers(len(options)))]


def problem(suite: Suite, spec: EpisodeSpec) -> str:
    """Why an episode cannot have its instruction; empty where it can, or has another perturbation."""
    level = level_of(spec)
    if level in ("", NONE):
        return ""
    if level == WRONG:
        return "" if _others(suite, spec) else "no other task can be done in its scene"
    instruction = str(call_suite(suite, "instruction", spec))
    if _wordings(suite, instruction, level):
        return ""
    if level == TYPO:
        return "" if altered(suite, spec, instruction) != instruction else f"no word of {instruction!r} can be misspelled"
    return f"{suite.name} has no {level} wordings of its instructions"


def _wordings(suite: Suite, instruction: str, kind: str) -> list[Wording]:
    return [wording for wording in call_suite(suite, "wordings", instruction) if wording.kind == kind]


def _others(suite: Suite, spec: EpisodeSpec) -> Sequence[OtherTask]:
    return call_suite(suite, "other_tasks", spec)


def _rng(spec: EpisodeSpec, level: str) -> np.random.Generator:
    return np.random.default_rng(spec.entropy(f"{AXIS}/{level}"))
