"""`nora-bench plan`: how many initial states and seeds a comparison needs, before anything is played."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ...results.statistics.sample_size import ColumnPlan, Pilot

LIKENESS = 0.5
"""Likeness of the episodes of one initial state where no run tells."""


def plan(
    suite: Annotated[list[str] | None, typer.Option(help="Suite or group; can be given again (default: libero).")] = None,
    detect: Annotated[float, typer.Option(min=0.01, max=100, help="Difference that is to be shown, in points.")] = 3.0,
    power: Annotated[float, typer.Option(min=1, max=99.9, help="Chance of showing it, in %.")] = 80.0,
    seeds: Annotated[str, typer.Option(help="Numbers of seeds to plan for, like 1,3,5.")] = "1,3,5",
    base: Annotated[float, typer.Option(min=0, max=99.9, help="Success rate of the weaker policy, in %.")] = 90.0,
    likeness: Annotated[
        float | None, typer.Option(min=0, max=1, help="How alike the seeds of one initial state end: 0 to 1 (deterministic).")
    ] = None,
    from_run: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Take rates and likeness from this run of the weaker policy.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say how many initial states a comparison of two policies needs, and what the benchmark's own can show.

    Example: `nora-bench plan --suite libero --detect 3 --power 80 --from runs/libero-nora`

    Every column of the table that fits the suites is one hypothesis; 5 % are divided by their number (Holm). Both policies are
    assumed to run on the same initial states; what pairing gains beyond that is not counted. See docs/reference/statistics.md.
    """
    from ...results.statistics import sample_size
    from ..config import integers
    from ..errors import InputError

    try:
        numbers = [one for one in integers(seeds) if one > 0] or [1]
    except ValueError as error:
        raise InputError(f"--seeds {seeds!r}: {error}") from None
    wanted = suite or ["libero"]
    layout, columns = planned_columns(wanted)
    pilots = _pilots(from_run, layout) if from_run else {}
    if from_run and not pilots:
        raise InputError(
            f"--from {from_run}: it has no rate to plan with in any column of {layout.id} (not played, or lost to errors); "
            "plan without it, or name another run"
        )
    level = sample_size.LEVEL / len(columns)
    rows = [
        _row(column, pilots.get(column.name), numbers, base / 100, likeness, detect / 100, power / 100, level)
        for column in columns
    ]
    said = {"detect": detect, "power": power, "level": sample_size.LEVEL, "hypotheses": len(columns), "columns": rows}
    if as_json:
        print(json.dumps(said, indent=2, ensure_ascii=False))
        return
    _print(said, numbers)


def planned_columns(wanted: Sequence[str]) -> tuple[Any, list[ColumnPlan]]:
    """The table that fits the suites, and its columns as one seed of all their episodes fills them."""
    from ..config import parse
    from ..planning.plan import make_plan, resolve_setup

    config = parse({"suite": list(wanted)})
    setup = resolve_setup(config)
    return columns_of(setup, make_plan(config, setup, stochastic=False).episodes, 1)


def columns_of(setup: Any, episodes: Sequence[Any], seeds: int) -> tuple[Any, list[ColumnPlan]]:
    """The table that fits a plan, and the columns that it fills.

    Args:
        setup: suites and protocol of the run.
        episodes: the planned episodes.
        seeds: seeds of each initial state.
    """
    from ...results import layouts
    from ...results.statistics import sample_size

    layout = layouts.fitting({suite.name for suite in setup.suites})
    if not {suite.name for suite in setup.suites} & set(layout.suites):
        layout = layouts.table_of({suite.name: len(suite.tasks) for suite in setup.suites})
    scenes = {(spec.suite, setup.task(spec).name, spec.variant, spec.init_state) for spec in episodes}
    return layout, sample_size.column_plans(layout, sorted(scenes), seeds)


def _pilots(folder: Path, layout: Any) -> dict[str, Pilot]:
    from ...results.grouping import groups
    from ...results.statistics import sample_size
    from ...results.store.reader import read_run
    from ..errors import InputError

    found = groups(read_run(folder))
    if len(found) != 1:
        raise InputError(
            f"--from {folder}: it holds {len(found)} sets of conditions, and a plan starts from one; name another run"
        )
    pilots = {item.name: sample_size.pilot(found[0], layout, item.name) for item in layout.columns}
    return {name: one for name, one in pilots.items() if one}


def _row(
    column: ColumnPlan,
    found: Pilot | None,
    seeds: Sequence[int],
    base: float,
    likeness: float | None,
    gain: float,
    wanted: float,
    level: float,
) -> dict[str, Any]:
    from ...results.statistics import sample_size

    alike = likeness if likeness is not None else found.likeness if found and found.likeness is not None else LIKENESS
    rate = found.base if found else base
    row: dict[str, Any] = {"column": column.name, "available": column.available, "base": rate, "likeness": alike, "seeds": []}
    for number in seeds:
        repeats = column.repeats * number
        needed = [
            _needed(gain, one, repeats, alike, level, wanted) for one in ([rate, found.low, found.high] if found else [rate])
        ]
        smallest = sample_size.smallest_difference(column.states, rate, repeats, alike, level, wanted)
        row["seeds"].append(
            {
                "seeds": number,
                "states": needed[0],
                "states_range": _range(needed),
                "smallest": None if smallest is None else 100 * smallest,
            }
        )
    return row


def _needed(gain: float, base: float, repeats: float, likeness: float, level: float, wanted: float) -> int | None:
    """Initial states, or None where the base rate leaves no room for such a gain."""
    from ...results.statistics import sample_size

    if base + gain > 1:
        return None
    return sample_size.states_needed(gain, base, repeats, likeness, level, wanted)


def _range(needed: Sequence[int | None]) -> list[int] | None:
    """Fewest and most initial states over the interval of the pilot's rate; None without a pilot."""
    known = [one for one in needed if one is not None]
    return [min(known), max(known)] if len(needed) > 1 and known else None


def _print(said: Mapping[str, Any], seeds: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    title = f"To show a difference of {said['detect']:g} points in {said['power']:g} % of comparisons"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Column", overflow="fold")
    table.add_column("base %", justify="right")
    table.add_column("there are", justify="right")
    for number in seeds:
        table.add_column(f"{number} seed{'s' * (number > 1)}\nneeds / shows", justify="right")
    for row in said["columns"]:
        cells = [_cell(one, row["available"]) for one in row["seeds"]]
        table.add_row(row["column"], f"{100 * row['base']:.1f}", str(row["available"]), *cells)
    console.print(table)
    likeness = ", ".join(sorted({f"{row['likeness']:.2f}" for row in said["columns"]}))
    console.print(
        "needs: initial states that each policy has to play; *: more than the benchmark has. shows: the smallest difference, in "
        f"points, that all of the benchmark's show. 5 % over {said['hypotheses']} columns (Holm); likeness of the seeds of a "
        f"state: {likeness}.",
        markup=False,
    )


def _cell(one: Mapping[str, Any], available: int) -> str:
    smallest = "-" if one["smallest"] is None else f"{one['smallest']:.1f}"
    if one["states"] is None:
        return f"no room / {smallest}"
    ends = one["states_range"]
    star = "*" if one["states"] > available else ""
    return f"{one['states']}{star} / {smallest}" + (f"\n{ends[0]} to {ends[1]}" if ends else "")
