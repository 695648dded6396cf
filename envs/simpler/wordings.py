"""Wordings of SimplerEnv's instructions, whose texts hold the places of names: `wordings.toml`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files

from ..instructions import Wording
from ..perturbations.wordings import read_wordings

NAME = "wordings.toml"


@cache
def _templates() -> tuple[tuple[re.Pattern[str], tuple[Wording, ...]], ...]:
    texts = read_wordings(files(__package__ or "").joinpath(NAME).read_text(encoding="utf-8"), NAME).texts
    return tuple((_pattern(instruction), wordings) for instruction, wordings in texts.items())


def _pattern(instruction: str) -> re.Pattern[str]:
    """`move {source} near {target}` -> a pattern with these groups."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(instruction)))


def wordings(instruction: str) -> Sequence[Wording]:
    """The wordings of an instruction of any of SimplerEnv's tasks; none for another text."""
    for pattern, texts in _templates():
        if match := pattern.fullmatch(instruction):
            return tuple(replace(wording, text=wording.text.format(**match.groupdict())) for wording in texts)
    return ()
