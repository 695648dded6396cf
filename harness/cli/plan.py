"""`nora-bench plan`: sample sizes for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ...results.comparisons.sample_size import ColumnPlan
    from ...results.comparisons.study_plan import SeedPlan, StudyPlan
    from ...results.layouts import Layout


def plan(
    suite: Annotated[list[str] | None, typer.Option(help="Suite or group; repeatable (default: libero).")] = None,
    detect: Annotated[float, typer.Option(min=0.01, max=100, help="Difference to show, in points.")] = 3.0,
    power: Annotated[float, typer.Option(min=1, max=99.9, help="Chance of showing it, in %.")] = 80.0,
    seeds: Annotated[str, typer.Option(help="Numbers of seeds to plan for, like 1,3,5.")] = "1,3,5",
    base: Annotated[float, typer.Option(min=0, max=99.9, help="Success rate of the weaker policy, in %.")] = 90.0,
    likeness: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Correlation of success between the seeds of one initial state: 0 (independent) to 1 (deterministic).",
        ),
    ] = None,
    from_run: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Take success rates and --likeness from this run of the weaker policy."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Compute the initial states that a comparison of two policies needs, and the differences that the benchmark can show.

    Example: `nora-bench plan --suite libero --detect 3 --power 80 --from runs/libero-nora`

    Every column of the table that fits the suites is one hypothesis; 5 % are divided by their number (Holm). Both policies are
    assumed to run the same initial states; further gains from pairing are not counted. See docs/reference/statistics.md.
    """
    from ...envs.errors import InputError
    from ...results.comparisons.study_plan import find_pilots, plan_study
    from ...results.store.reader import read_run
    from ..config import integers
    from .output import emit

    try:
        numbers = integers(seeds)
    except ValueError as error:
        raise InputError(f"--seeds {seeds!r}: {error}", option="--seeds", value=seeds) from None
    if not numbers or 0 in numbers:
        raise InputError(f"--seeds {seeds!r}: expected numbers of seeds from 1, like 1,3,5", option="--seeds", value=seeds)
    layout, columns = planned_columns(suite or ["libero"])
    pilots = find_pilots(read_run(from_run), layout) if from_run else {}
    study = plan_study(columns, numbers, detect=detect, power=power, base=base, likeness=likeness, pilots=pilots)
    emit(as_json, study, _print)


def planned_columns(suites: Sequence[str]) -> tuple[Layout, list[ColumnPlan]]:
    """The table that fits the suites, and its columns for one seed of all their episodes."""
    from ..config import parse
    from ..planning.plan import make_plan, resolve_setup

    config = parse({"suite": list(suites)})
    setup = resolve_setup(config)
    return columns_of(setup, make_plan(config, setup, stochastic=False).episodes, 1)


def columns_of(setup: Any, episodes: Sequence[Any], seeds: int) -> tuple[Layout, list[ColumnPlan]]:
    """The table that fits a plan, and the columns that it fills.

    Args:
        setup: suites and protocol of the run.
        episodes: the planned episodes.
        seeds: seeds of each initial state.
    """
    from ...results import layouts
    from ...results.comparisons import sample_size

    layout = layouts.fitting({suite.name for suite in setup.suites})
    if not {suite.name for suite in setup.suites} & set(layout.suites):
        layout = layouts.table_of({suite.name: len(suite.tasks) for suite in setup.suites})
    scenes = {(spec.suite, setup.task(spec).name, spec.variant, spec.init_state) for spec in episodes}
    return layout, sample_size.column_plans(layout, sorted(scenes), seeds)


def _print(study: StudyPlan) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    title = f"To show a difference of {study.detect:g} points in {study.power:g} % of comparisons"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Column", overflow="fold")
    table.add_column("base %", justify="right")
    table.add_column("available", justify="right")
    for seed_plan in study.columns[0].seeds:
        number = seed_plan.seeds
        table.add_column(f"{number} seed{'s' * (number > 1)}\nneeds / shows", justify="right")
    for row in study.columns:
        cells = [_cell(seed_plan, row.available) for seed_plan in row.seeds]
        table.add_row(row.column, f"{100 * row.base:.1f}", str(row.available), *cells)
    console.print(table)
    likeness = ", ".join(sorted({f"{row.likeness:.2f}" for row in study.columns}))
    console.print(
        "needs: initial states that each policy has to run; *: more than the benchmark has. shows: smallest difference, in "
        f"points, that all of the benchmark's show. 5 % over {study.hypotheses} columns (Holm); likeness of the seeds of a "
        f"state: {likeness}.",
        markup=False,
    )


def _cell(plan: SeedPlan, available: int) -> str:
    smallest = "-" if plan.smallest is None else f"{plan.smallest:.1f}"
    if plan.states is None:
        return f"no room / {smallest}"
    ends = plan.states_range
    star = "*" if plan.states > available else ""
    return f"{plan.states}{star} / {smallest}" + (f"\n{ends[0]} to {ends[1]}" if ends else "")
