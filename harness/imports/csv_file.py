"""Results in a CSV file: a line per episode, with `task` and `success`; the other columns are optional."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...results.csv_table import read_table
from .episodes import ForeignEpisode, ResultsError, Source

COLUMNS = ("suite", "task", "success", "init_state", "seed", "variant", "steps", "seconds", "error", "cause")
REQUIRED = ("task", "success")
WORDS = {"1": True, "true": True, "yes": True, "success": True, "0": False, "false": False, "no": False, "failure": False}


def read_csv(path: Path) -> Source:
    """The episodes of the file. Raises ResultsError naming line, column and value.

    `success` is 1 or 0, or empty where `error` says what ended the episode. Without `init_state` the initial state is not known.
    """
    episodes = []
    for number, values in read_table(path, COLUMNS, REQUIRED, ResultsError):
        try:
            episodes.append(_episode(values))
        except ValueError as error:
            raise ResultsError(f"{path}, line {number}: {error}") from None
    return Source(path=path, tool="csv", episodes=tuple(episodes))


def _episode(values: Mapping[str, str]) -> ForeignEpisode:
    word, error = values.get("success", "").strip().casefold(), values.get("error", "").strip()
    if word not in WORDS and (word or not error):
        raise ValueError(f"success is {word[:80]!r}; write 1 or 0, or nothing and the error in the column error")
    if error and WORDS.get(word):
        raise ValueError(f"success is {word!r} and error is {error[:80]!r}; an episode that ended in an error has no success")
    cause = values.get("cause", "").strip()
    if cause not in ("", "policy", "machine"):
        raise ValueError(f"cause is {cause[:80]!r}; write policy or machine")
    return ForeignEpisode(
        suite=values.get("suite", "").strip(),
        task=values.get("task", "").strip(),
        success=None if error else WORDS[word],
        error=error,
        cause=cause,
        variant=values.get("variant", "").strip(),
        init_state=_number(values, "init_state"),
        seed=_number(values, "seed") or 0,
        steps=_number(values, "steps") or 0,
        seconds=_seconds(values),
    )


def _number(values: Mapping[str, str], name: str) -> int | None:
    word = values.get(name, "").strip()
    if word and not (word.isascii() and word.isdecimal() and len(word) < 10):
        raise ValueError(f"{name} is {word[:80]!r}; write a number from 0")
    return int(word) if word else None


def _seconds(values: Mapping[str, str]) -> float:
    word = values.get("seconds", "").strip()
    try:
        value = float(word or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise ValueError(f"seconds is {word[:80]!r}; write a number from 0")
    return value
