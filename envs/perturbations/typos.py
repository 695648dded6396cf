"""Typing errors by a keyed rule: the same text and generator give the same errors.

One word in six has one slip, of a kind of its own: a neighbouring key, a doubled letter, a dropped letter, two letters swapped,
or a missing space. Words of fewer than four letters and the first and last letter of a word stay, so that the text can still be
read; a slip that makes another English word is not made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import numpy as np

VERSION = 1
"""Grows when the rule makes other errors of the same text."""
WORDS_PER_SLIP = 6
SHORTEST = 4
"""Letters of the shortest word that a slip changes; the space after any word can be missing."""
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Keys of the keyboard whose neighbours are hit."""
_WORDS = """
    back bale bark basked beck bitter boil bole boll booth bows brown clot coke cone cook cram croak cupe dropped font form
    from hold lest let lief lift list lite male mild mode mole moral mule mush opes oven over pace pan past pate patten peck
    pike pile pilot plane plat plaza pleat pock pole poof pool pop posh pot prick puck race rage rake rank reck rick rigs
    sack sage same save shove sing sink sip slate soap soaped sooth sop sot soup sour spoof stave stoke store stove sup tap
    tie tim time tip tire tom ton top torn tow tuft tun tuna turf whine whit wife wile wind wipe wire wore yell
"""
REAL_WORDS = frozenset(_WORDS.split())
"""English words that one slip could make of the words of instructions."""

JOINED = "\0"
"""Marks a word after which the space is missing."""


def typo(text: str, rng: np.random.Generator) -> str:
    """The text with its slips; unchanged only where no slip fits it (a single word of less than `SHORTEST` letters)."""
    words = text.split(" ")
    slips = [*SLIPS, _join]
    kinds = [slips[int(index)] for index in rng.permutation(len(slips))]
    order = [int(index) for index in rng.permutation(len(words))]
    wanted = max(1, round(len(words) / WORDS_PER_SLIP))
    for kind in kinds:
        for index in order if wanted else ():
            slipped = _join(words[index]) if kind is _join else _slip(words[index], kind, rng)
            if slipped and not (kind is _join and index == len(words) - 1):
                words[index] = slipped
                order.remove(index)
                wanted -= 1
                break
    return " ".join(words).replace(JOINED + " ", "")


def typos(text: str, count: int) -> tuple[str, ...]:
    """The first different texts of the rule, keyed by the text alone: those that stored wordings contain."""
    found: dict[str, None] = {}
    for number in range(1000):
        digest = hashlib.sha256(f"{text}#{number}".encode()).digest()
        changed = typo(text, np.random.default_rng(np.frombuffer(digest[:16], dtype="<u4")))
        if changed != text:
            found.setdefault(changed)
        if len(found) == count:
            break
    return tuple(found)


def _slip(word: str, kind: Slip, rng: np.random.Generator) -> str:
    """A word with one slip inside; empty where it fits none."""
    if not re.fullmatch(rf"[a-z]{{{SHORTEST},}}", word):
        return ""
    slipped = kind(word, 1 + int(rng.integers(len(word) - 2)), rng)
    return "" if slipped == word or slipped in REAL_WORDS else slipped


def _join(word: str) -> str:
    return word + JOINED


def _neighbour(word: str, place: int, rng: np.random.Generator) -> str:
    row = next(row for row in ROWS if word[place] in row)
    at = row.index(word[place])
    keys = row[max(0, at - 1) : at] + row[at + 1 : at + 2]
    return word[:place] + keys[int(rng.integers(len(keys)))] + word[place + 1 :]


def _double(word: str, place: int, rng: np.random.Generator) -> str:
    return word[:place] + word[place] + word[place:]


def _drop(word: str, place: int, rng: np.random.Generator) -> str:
    return word[:place] + word[place + 1 :]


def _swap(word: str, place: int, rng: np.random.Generator) -> str:
    place = min(place, len(word) - 3)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


Slip = Callable[[str, int, np.random.Generator], str]
SLIPS: tuple[Slip, ...] = (_neighbour, _double, _drop, _swap)
