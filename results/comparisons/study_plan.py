"""Sizes of a planned comparison, column by column: initial states it needs, and differences that the benchmark can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...envs.errors import InputError
from ..grouping import groups
from ..layouts import Layout
from ..store.reader import StoredRun
from . import sample_size
from .sample_size import ColumnPlan, Pilot

LIKENESS = 0.5
"""Assumed likeness of the episodes of one initial state, unless a pilot run estimates it."""


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """One column with one number of seeds."""

    seeds: int
    states: int | None
    """Initial states needed; None where the base rate leaves no room for the difference."""
    states_range: tuple[int, int] | None
    """Fewest and most over the interval of the pilot's rate; None without a pilot."""
    smallest: float | None
    """Smallest difference that all initial states of the plan show, in points; None where not even 100 % would."""


@dataclass(frozen=True, slots=True)
class ColumnRequirement:
    """Requirement of one column of the table."""

    column: str
    available: int
    """Initial states of the benchmark."""
    base: float
    """Success rate of the weaker policy."""
    likeness: float
    seeds: tuple[SeedPlan, ...]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A planned comparison of two policies."""

    detect: float
    """Difference to show, in points."""
    power: float
    """Chance of showing it, in percent."""
    level: float
    """Family-wise level."""
    hypotheses: int
    """Columns that share the level (Holm)."""
    columns: tuple[ColumnRequirement, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def plan_study(
    columns: Sequence[ColumnPlan],
    seeds: Sequence[int],
    *,
    detect: float,
    power: float,
    base: float,
    likeness: float | None = None,
    pilots: Mapping[str, Pilot] | None = None,
) -> StudyPlan:
    """Initial states that a comparison needs.

    Args:
        columns: planned columns of the table (`sample_size.column_plans`), for one seed.
        seeds: numbers of seeds to plan for.
        detect: difference to show, in points.
        power: chance of showing it, in percent.
        base: success rate of the weaker policy in percent, for columns without a pilot.
        likeness: likeness of the episodes of one initial state, 0 to 1; None takes the pilot's, or `LIKENESS`.
        pilots: column -> earlier results of the weaker policy.
    """
    level = sample_size.LEVEL / len(columns)
    known = pilots or {}
    rows = (
        _requirement(column, known.get(column.name), seeds, base / 100, likeness, detect / 100, power / 100, level)
        for column in columns
    )
    return StudyPlan(detect, power, sample_size.LEVEL, len(columns), tuple(rows))


def find_pilots(run: StoredRun, layout: Layout) -> dict[str, Pilot]:
    """Column -> results of a run to plan with. Raises InputError for a run of several conditions, or without such a column."""
    found = [group for group in groups(run) if not group.key.perturbation]
    if len(found) != 1:
        raise InputError(f"--from {run.folder}: it has {len(found)} sets of conditions, a plan needs one. Name another run")
    pilots = {column.name: sample_size.pilot(found[0], layout, column.name) for column in layout.columns}
    usable = {name: pilot for name, pilot in pilots.items() if pilot}
    if not usable:
        raise InputError(
            f"--from {run.folder}: it has no usable rate in any column of {layout.id} (not evaluated, or lost to errors). "
            "Omit it, or name another run"
        )
    return usable


def _requirement(
    column: ColumnPlan,
    pilot: Pilot | None,
    seeds: Sequence[int],
    base: float,
    likeness: float | None,
    gain: float,
    power: float,
    level: float,
) -> ColumnRequirement:
    alike = likeness if likeness is not None else pilot.likeness if pilot and pilot.likeness is not None else LIKENESS
    rates = [pilot.base, pilot.low, pilot.high] if pilot else [base]
    plans = []
    for number in seeds:
        repeats = column.repeats * number
        needed = [_states_needed(gain, rate, repeats, alike, level, power) for rate in rates]
        smallest = sample_size.smallest_difference(column.states, rates[0], repeats, alike, level, power)
        plans.append(SeedPlan(number, needed[0], _range(needed), None if smallest is None else 100 * smallest))
    return ColumnRequirement(column.name, column.available, rates[0], alike, tuple(plans))


def _states_needed(gain: float, base: float, repeats: float, likeness: float, level: float, power: float) -> int | None:
    if base + gain > 1:
        return None
    return sample_size.states_needed(gain, base, repeats, likeness, level, power)


def _range(needed: Sequence[int | None]) -> tuple[int, int] | None:
    known = [states for states in needed if states is not None]
    return (min(known), max(known)) if len(needed) > 1 and known else None
