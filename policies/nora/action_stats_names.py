"""Matches a checkpoint's statistics to a suite, across the names in use for the same data."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from ...envs.errors import PolicyError, nearest

UNNAMED = "checkpoint"
"""Name for a checkpoint's only set of statistics, where it has no name."""
PUBLISHED = "published"
"""Value of `statistics=` for the published statistics of each suite."""
ROBOTS = (
    (("widowx", "bridge"), "bridge_orig"),
    (("google", "fractal", "simpler"), "fractal20220817_data"),
)
"""(words in the name of a suite that is no data set itself, data set of its robot); the first that fits."""
DATA_SETS = {
    "fractal20220817_data": ("fractal20220817_data", "fractal20220817", "fractal_data", "fractal", "rt_1", "rt1", "google_robot"),
    "bridge_orig": (
        "bridge_orig",
        "bridge",
        "bridge_dataset",
        "bridge_data",
        "bridge_v2",
        "bridgev2",
        "bridge_data_v2",
        "widowx",
    ),
}
"""Data set of a robot -> its names, normalised by `_plain`."""
LIBERO_PARTS = {"spatial": "spatial", "object": "object", "goal": "goal", "10": "10", "long": "10", "90": "90"}
"""Word in a name -> the suite that it means."""
FOUR = frozenset({"spatial", "object", "goal", "10"})
LIBERO_MIXTURES = {"100": frozenset({"10", "90"}), "130": FOUR | {"90"}}
MIXING = frozenset(
    {"4", "four", "all", "all4", "mix", "mixed", "mixture", "combined", "full", "task", "tasks", "suite", "suites"}
)
"""Words of a name for LIBERO's four suites of ten tasks together."""
VERSION = re.compile(r"[/_-]v?\d+(\.\d+)+(?=$|[/_-])")
SAME_DATA = re.compile(r"_(no_?noops?|noops|lerobot|rlds|image|openvla|modified)(?=$|_)")
"""Parts of a name for the storage format, or for the omission of steps without motion."""


def statistics_key(suite: str, known: Collection[str], requested: str | None, source: str = "") -> str:
    """The name among `known` that the user chose, else the best match for the suite.

    Best is the suite's own name; then with `_no_noops`; then another name of the same data (another version, another format);
    then its robot's data set; then a mixture that contains it; then the only set of a checkpoint, where it has no name.

    Args:
        suite: the suite's name.
        known: names, or name -> statistics; with the statistics, several names of the same data must agree.
        wanted: the user's choice.
        source: where the names come from, for messages.

    Raises:
        PolicyError: no match, or several that differ; names the known ones.
    """
    for candidates in _requested(requested, known) if requested else _fitting(suite, known):
        if candidates:
            return _agreed(suite, candidates, known)
    raise PolicyError(_none_fits(suite, known, requested, source))


def _requested(requested: str, known: Collection[str]) -> list[list[str]]:
    return [
        [name for name in known if name == requested],
        [name for name in known if name.partition("/")[0] == requested],
        [name for name in known if _plain(name) == _plain(requested)],
    ]


def _fitting(suite: str, known: Collection[str]) -> list[list[str]]:
    """Candidates, best rank first."""
    robot = next((data for words, data in ROBOTS if any(word in suite for word in words)), "")
    ranks: list[Callable[[str], bool]] = [
        lambda name: name == suite,
        lambda name: name == f"{suite}_no_noops",
        lambda name: _plain(name) == _plain(suite) or _libero(name) == _libero(suite) != frozenset(),
        lambda name: name == robot,
        lambda name: _plain(name) in DATA_SETS.get(robot, ()),
        lambda name: bool(_libero(suite)) and _libero(suite) < _libero(name),
        lambda name: name == UNNAMED and len(known) == 1,
    ]
    return [[name for name in known if fits(name)] for fits in ranks]


def _plain(name: str) -> str:
    """Without owner, version, storage format and `_no_noops`; lower case."""
    text = VERSION.sub("", name.lower()).rpartition("/")[2]
    text = re.sub(r"[\s.-]+", "_", text)
    return re.sub(r"^libero(?=\d)", "libero_", SAME_DATA.sub("", text))


def _libero(name: str) -> frozenset[str]:
    """The suites of LIBERO whose data a name means; empty where it means none or is unknown."""
    family, *words = _plain(name).split("_")
    if family != "libero":
        return frozenset()
    if words and all(word in LIBERO_PARTS for word in words):
        return frozenset(LIBERO_PARTS[word] for word in words)
    if len(words) == 1 and words[0] in LIBERO_MIXTURES:
        return LIBERO_MIXTURES[words[0]]
    return FOUR if all(word in MIXING for word in words) else frozenset()


def _agreed(suite: str, candidates: list[str], known: Collection[str]) -> str:
    """The first of equally good names. Raises PolicyError where their statistics differ."""
    entries = [known[name] for name in candidates] if isinstance(known, Mapping) else [None]
    if any(entry != entries[0] for entry in entries):
        raise PolicyError(
            f"the checkpoint has several statistics for {suite!r}, which differ: {', '.join(candidates)}; "
            "add --policy-arg statistics=NAME with one of them"
        )
    return candidates[0]


def _none_fits(suite: str, known: Collection[str], requested: str | None, source: str) -> str:
    asked = requested or suite
    there = ", ".join(sorted(known)) or "none"
    if not source or requested:
        where = f" in {source}" if source else ""
        return (
            f"no normalisation statistics for {asked!r}{where}{nearest(asked, known)}; "
            f"add --policy-arg statistics=NAME with one of {there}"
        )
    return (
        f"none of the checkpoint's statistics ({source}) is known to be of {suite!r}: it has {there}. "
        "Say which scale its actions: --policy-arg statistics=NAME with one of these"
    )
