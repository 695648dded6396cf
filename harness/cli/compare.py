"""`nora-bench compare`: paired comparison or ranking of runs."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...results.comparisons.reports import ComparisonReport, RankingReport


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="A B...", help="Folders of runs; two are compared, more are ranked.")],
    real: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="Trials on the robot by the same policies: correlate with them.")
    ] = None,
    no_worse_than: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Exit with 0 if B is shown to be no worse than A by this many points, else with 1."),
    ] = None,
    perturbation: Annotated[
        str, typer.Option(metavar="NAME", help="Compare the episodes under this perturbation, like camera2.", show_default="none")
    ] = "",
    flips: Annotated[bool, typer.Option(help="List every episode that ended differently.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare runs of different protocols, step limits or assets all the same.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Compare runs on the initial states that all of them evaluated; the difference is B minus A.

    Example: `nora-bench compare runs/libero-nora runs/libero-nora-1.5`

    Exact test paired by initial state, 95 % intervals that hold together, p-values corrected over the columns of the table
    (Holm), and how many initial states would settle what is open. See docs/reference/statistics.md.
    """
    from ...envs.errors import InputError
    from ...results.comparisons.reports import report_comparison, report_ranking
    from ...results.store.reader import read_run
    from .output import emit

    gc.disable()  # as in `table`
    if len(folders) < 2:
        raise InputError("compare takes at least two runs: `nora-bench compare runs/A runs/B`")
    if no_worse_than is not None and (len(folders) > 2 or real or not 0 < no_worse_than <= 100):
        raise InputError(
            "--no-worse-than takes points above 0, up to 100, and two runs: `nora-bench compare A B --no-worse-than 2`"
        )
    if perturbation and real:
        raise InputError("--real compares with trials without a perturbation: omit --perturbation", option="--perturbation")
    runs = [read_run(folder) for folder in folders]
    margin = None if no_worse_than is None else no_worse_than / 100
    try:
        if len(runs) > 2 or real:
            trials = [read_run(folder) for folder in real or ()]
            ranking = report_ranking(runs, trials, anyway=anyway, perturbation=perturbation)
            emit(as_json, ranking, _print_ranking)
            return
        report = report_comparison(*runs, margin=margin, anyway=anyway, perturbation=perturbation)
    except ValueError as error:  # Incomparable, NotMeasurable, or no scene in common
        raise InputError(str(error)) from None
    emit(as_json, report, partial(_print_comparison, flips=flips))
    if report.noninferiority and not report.noninferiority.shown:
        raise typer.Exit(1)


def _print_comparison(report: ComparisonReport, *, flips: bool) -> None:
    from . import verdicts
    from .output import say

    say(verdicts.comparison_lines(report.comparison, flips=flips))
    say(verdicts.change_lines(report.failures))
    if report.noninferiority:
        say(["", *verdicts.not_worse_lines(report.noninferiority)])


def _print_ranking(report: RankingReport) -> None:
    from . import verdicts
    from .output import say

    say(verdicts.ranking_lines(report.ranking))
    if report.agreement:
        say(verdicts.agreement_lines(report.agreement))
