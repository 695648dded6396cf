"""Axes of perturbation and their levels, as data: `axes.toml`.

A perturbation is written `axis:level` on the command line (`camera:2`, `language:none`, `latency:100ms`) and as a name in
episode keys and records (`camera2`, `language-none`, `latency-100ms`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from ..errors import InputError, UnknownName

Kind = Literal["scene", "image", "language", "latency"]
"""Place of a change: in the simulator (suites that declare the axis), in the observed images, in the instruction, or in the
time until an action chunk arrives (any suite)."""
ALL = "all"


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One level of one axis."""

    axis: str
    level: str
    kind: Kind
    moves: bool
    """Whether the simulator's states change; others leave the states of replayed actions equal to the bit."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The level's numbers."""
    rebuilds: bool = False
    """Whether its episodes need a model of their own, one for each task."""

    @property
    def name(self) -> str:
        """Its part of the episode's key: `camera2`, `language-none`."""
        return f"{self.axis}{self.level}" if self.level.isdigit() else f"{self.axis}-{self.level}"


@dataclass(frozen=True, slots=True)
class Axis:
    """One kind of change, with its levels."""

    name: str
    kind: Kind
    title: str
    unit: str
    source: str
    """Origin of the numbers."""
    moves: bool = False
    rebuilds: bool = False
    levels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Level -> its numbers."""
    pattern: str = ""
    """Regular expression of further levels, whose groups are their values."""
    form: str = ""
    """The further levels in words."""

    def at(self, level: str) -> Perturbation | None:
        """The perturbation of a level; None where the axis has no such level."""
        if level in self.levels:
            return Perturbation(self.name, level, self.kind, self.moves, self.levels[level], self.rebuilds)
        match = re.fullmatch(self.pattern, level) if self.pattern else None
        return Perturbation(self.name, level, self.kind, self.moves, match.groupdict(default="")) if match else None

    @property
    def graded(self) -> tuple[str, ...]:
        """The numbered levels; all named ones where it has none."""
        return tuple(level for level in self.levels if level.isdigit()) or tuple(self.levels)


@dataclass(frozen=True, slots=True)
class Preset:
    """Options of `run` under one name of `--suite`."""

    suite: tuple[str, ...]
    perturb: tuple[str, ...]
    init_states: str


@cache
def _table() -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10, of the original SimplerEnv
        raise InputError("perturbations need Python 3.11 in the workers; omit --python, or omit --perturb") from None
    return tomllib.loads(files(__package__ or "").joinpath("axes.toml").read_text(encoding="utf-8"))


@cache
def axes() -> Mapping[str, Axis]:
    """Name -> axis, in the file's order."""
    found = {name: Axis(name=name, **values) for name, values in _table()["axes"].items()}
    if wrong := [axis.name for axis in found.values() if axis.kind not in get_args(Kind)]:
        raise ValueError(f"axes.toml: unknown kind of {', '.join(wrong)}")
    return found


def version() -> int:
    """Version of the levels."""
    return _table()["version"]


def presets() -> Mapping[str, Preset]:
    """Name -> preset."""
    return {
        name: Preset(tuple(values["suite"]), tuple(values["perturb"]), values["init_states"])
        for name, values in _table()["presets"].items()
    }


def get(name: str) -> Perturbation:
    """The perturbation of a key's name, `camera2`. Raises InputError."""
    for axis in axes().values():
        if name.startswith(axis.name):
            rest = name.removeprefix(axis.name)
            level = rest if rest.isdigit() else rest.removeprefix("-") if rest.startswith("-") else ""
            if (found := axis.at(level)) and found.name == name:
                return found
    raise InputError(f"no perturbation is named {name!r}; see `nora-bench list perturbations`", value=name)


def parse(items: Iterable[str]) -> tuple[str, ...]:
    """`camera:1-3`, `light:2`, `language:none`, `noise` (all of its levels), `all` -> names for `get`. Raises ValueError."""
    return tuple(dict.fromkeys(name for item in items for name in _expand(item.strip())))


def _expand(item: str) -> Iterator[str]:
    if item == ALL:
        for axis in axes().values():
            yield from (found.name for level in axis.graded if (found := axis.at(level)))
        return
    name, colon, text = item.partition(":")
    if name == ALL:
        raise ValueError(
            f"{ALL} takes no level, not even {text!r}: it is every axis at its levels; name axes, like camera:2,light:2"
        )
    if name not in axes():
        yield _stored(item)
        return
    axis = axes()[name]
    levels = _levels(text) if colon else axis.graded
    if not levels:
        raise ValueError(f"expected {name}:LEVEL, like {name}:{example(axis)}")
    for level in levels:
        found = axis.at(level)
        if found is None:
            known = ", ".join(axis.levels) or axis.form
            raise ValueError(f"expected a level of {name} ({known}), not {level!r}")
        yield found.name


def _stored(item: str) -> str:
    """A name as it is stored in a run's configuration; anything else is an unknown axis."""
    try:
        return get(item).name
    except InputError:
        error = UnknownName("axis", item.partition(":")[0], (*axes(), ALL), "see `nora-bench list perturbations`")
        raise ValueError(str(error)) from None


def _levels(text: str) -> tuple[str, ...]:
    """`1-3` -> 1, 2, 3; anything else is one level. Raises ValueError for `3-1`."""
    if match := re.fullmatch(r"([0-9])-([0-9])", text):
        low, high = int(match[1]), int(match[2])
        if low > high:
            raise ValueError(f"the first level is above the last; write {high}-{low}, not {text}")
        return tuple(map(str, range(low, high + 1)))
    return (text,) if text else ()


def example(axis: Axis) -> str:
    """A level of the axis."""
    return next(iter(axis.levels), "100ms")
