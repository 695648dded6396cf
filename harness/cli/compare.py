"""`nora-bench compare`: is one policy better than another, by how much, and how sure is that."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...results.store.reader import StoredRun


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="A B...", help="Folders of runs; two are compared, more are ranked.")],
    real: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="Trials on the robot by the same policies: correlate with them.")
    ] = None,
    no_worse_than: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Exit with 0 if B is shown to be no worse than A by this many points, else with 1."),
    ] = None,
    flips: Annotated[bool, typer.Option(help="List every episode that ended differently.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare runs of different protocols, step limits or assets all the same.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Compare runs on the initial states that all of them played; the difference is B minus A.

    Example: `nora-bench compare runs/libero-nora runs/libero-nora-1.5`

    Exact test paired by initial state, 95 % intervals that hold together, p-values corrected over the columns of the table
    (Holm), and how many initial states would settle what is open. See docs/reference/statistics.md.
    """
    from ...results.store.reader import read_run
    from ..errors import InputError

    gc.disable()  # as in `table`
    if len(folders) < 2:
        raise InputError("compare takes at least two runs: `nora-bench compare runs/A runs/B`")
    if no_worse_than is not None and (len(folders) > 2 or real or not 0 < no_worse_than <= 100):
        raise InputError(
            "--no-worse-than takes points above 0, up to 100, and two runs: `nora-bench compare A B --no-worse-than 2`"
        )
    runs = [read_run(folder) for folder in folders]
    try:
        if len(runs) == 2 and not real:
            _two(*runs, margin=no_worse_than, flips=flips, anyway=anyway, as_json=as_json)
        else:
            _several(runs, [read_run(folder) for folder in real or ()], anyway=anyway, as_json=as_json)
    except ValueError as error:  # Incomparable, NotMeasurable, or no scene in common
        raise InputError(str(error)) from None


def _two(a: StoredRun, b: StoredRun, *, margin: float | None, flips: bool, anyway: bool, as_json: bool) -> None:
    from ...results.statistics.comparison import compare as compare_runs
    from ...results.statistics.noninferiority import noninferiority_test
    from . import verdicts, verdicts_json

    found = compare_runs(a, b, anyway=anyway)
    if not found.columns:
        raise ValueError(
            f"{a.name} and {b.name} have no scene in common: run both with the same --suite, --tasks, --init-states and --seeds"
        )
    tested = noninferiority_test(a, b, margin / 100, anyway=anyway) if margin is not None else None
    if as_json:
        lines = verdicts_json.comparison_json(found)
        if tested:
            item, part, result = tested
            lines["not_worse"] = verdicts_json.not_worse_json(item.name, part, result)
        print(json.dumps(lines, indent=2))
    else:
        _print(verdicts.comparison_lines(found, flips=flips))
        if tested:
            _print(["", *verdicts.not_worse_lines(tested[0].name, *tested[1:])])
    if tested and not tested[2].shown:
        raise typer.Exit(1)


def _several(runs: Sequence[StoredRun], real: Sequence[StoredRun], *, anyway: bool, as_json: bool) -> None:
    from ...results.statistics.agreement import agreement
    from ...results.statistics.standings import rank
    from . import verdicts, verdicts_json

    ranking = rank(runs, anyway=anyway)
    robot = agreement(runs, real, anyway=anyway) if real else None
    if as_json:
        found = {**verdicts_json.ranking_json(ranking, runs), "real": verdicts_json.agreement_json(robot) if robot else None}
        print(json.dumps(found, indent=2))
        return
    _print(verdicts.ranking_lines(ranking))
    if robot:
        _print(verdicts.agreement_lines(robot))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
