"""`nora-bench table`: the papers' tables, published rows beside measured ones."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...results.layouts import Layout
    from ...results.statistics.intervals import Estimand
    from ...results.store.reader import StoredRun
    from ...results.tables.model import Table


def table(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ID] [RUN]...", help="A table such as nora15/table2, and folders of runs.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", envvar="NORA_BENCH_FORMAT", help="terminal, markdown, latex, csv, html or json.")
    ] = "terminal",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    floor: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Run of a blind policy: mark rates that are not above it."),
    ] = None,
    estimand: Annotated[
        str, typer.Option(help="Target of the intervals: new initial states (states), or the benchmark's own (benchmark).")
    ] = "states",
    over_seeds: Annotated[
        bool, typer.Option("--over-seeds", help="Add rows of mean ± standard deviation over seeds, as papers print them.")
    ] = False,
    levels: Annotated[bool, typer.Option("--levels", help="With `robust`: a column per level.")] = False,
    absolute: Annotated[bool, typer.Option("--absolute", help="With `robust`: success rates instead of differences.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Show the difference of runs of other protocols, step limits or assets all the same.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of the terminal.")] = None,
) -> None:
    """Print success rates in a paper's layout: published rows, and measured ones with 95 % intervals beside them.

    Example: `nora-bench table nora15/table2 runs/libero-nora --format markdown`

    Without runs only published rows are printed, without an ID the table that fits the runs, without both the list of tables.
    The ID `robust` is for runs with `--perturb`: per axis, the difference to the same episodes without it
    (docs/guide/robustness.md).
    """
    gc.disable()  # garbage collection among 100,000 records would cost more than the rest of this short process
    form = "json" if as_json else form
    id, folders = _split(names or [])
    if id is None and not folders:
        _list(form)
        return
    from ...results.store.reader import read_run
    from ...results.tables.build import build

    _check_format(form)
    if id == ROBUST:
        _require_no(id, {"--over-seeds": over_seeds, "--estimand": estimand != "states"})
        _write(_robust(folders, floor or [], levels=levels, absolute=absolute, anyway=anyway), form, out)
        return
    _require_no(id, {"--levels": levels, "--absolute": absolute})
    layout, runs = _load(id, folders)
    floors = [read_run(folder) for folder in floor or ()]
    _write(build(layout, runs, floors, anyway=anyway, seeds=over_seeds, estimand=_estimand(estimand)), form, out)


def _estimand(name: str) -> Estimand:
    from ...envs.errors import InputError
    from ...results.tables.build import ESTIMANDS

    for known in ESTIMANDS:
        if name == known:
            return known
    raise InputError(f"--estimand {name!r} is unknown. Choose one of {', '.join(ESTIMANDS)}")


ROBUST = "robust"
"""Name of the table of robustness among the IDs."""


def _require_no(id: str | None, given: dict[str, bool]) -> None:
    """Raise InputError for options that have no effect on this table."""
    from ...envs.errors import InputError

    for option, value in given.items():
        if value:
            where = "has no effect in the table robust" if id == ROBUST else "needs the table robust: nora-bench table robust RUN"
            raise InputError(f"{option} {where}", option=option)


def _robust(folders: list[Path], floors: list[Path], *, levels: bool, absolute: bool, anyway: bool) -> Table:
    from ...results.store.reader import read_run
    from ...results.tables import robust

    runs, blind = [read_run(folder) for folder in folders], [read_run(folder) for folder in floors]
    return robust.build(runs, blind, levels=levels, absolute=absolute, anyway=anyway)


def _split(names: list[str]) -> tuple[str | None, list[Path]]:
    """The table's ID, if the first name is one, and the runs' folders."""
    from ...results import layouts

    if names and (
        names[0] in (*layouts.ids(), ROBUST)
        or (names[0].startswith(("nora/", "nora15/", "simpler/")) and not Path(names[0]).exists())
    ):
        return names[0], [Path(name) for name in names[1:]]
    return None, [Path(name) for name in names]


def _load(id: str | None, folders: list[Path]) -> tuple[Layout, list[StoredRun]]:
    from ...results import layouts
    from ...results.store.reader import read_run

    layout = layouts.get(id) if id else None
    runs = [read_run(folder) for folder in folders]
    records = [record for run in runs for record in run.records]
    return layout or layouts.fitting({record.suite for record in records}, {record.protocol for record in records}), runs


def _check_format(form: str) -> None:
    from ...envs.errors import InputError, nearest
    from ...results.tables.render import FORMATS

    if form not in ("terminal", *FORMATS):
        known = ["terminal", *FORMATS]
        raise InputError(f"--format {form!r} is unknown{nearest(form, known)}. Choose one of {', '.join(known)}")


def _write(table: Table, form: str, out: Path | None) -> None:
    from ...results.tables import render

    if out is None and form != "terminal":
        print(render.render(table, form), end="")
    elif form != "terminal" and out is not None:
        out.write_text(render.render(table, form), encoding="utf-8")
    else:
        from rich.console import Console

        if out is None:
            render.terminal(table, Console())
        else:
            with out.open("w", encoding="utf-8") as handle:
                render.terminal(table, Console(file=handle, width=120))


def _list(form: str) -> None:
    from ...results import layouts
    from .output import emit

    known = [layouts.get(id) for id in layouts.ids()]
    listed = [{"table": layout.id, "title": layout.title, "source": layout.source} for layout in known]
    listed.append({"table": ROBUST, "title": "Perturbed episodes against their controls", "source": "nora-bench"})
    emit(form == "json", listed, _print_list)


def _print_list(tables: list[dict[str, str]]) -> None:
    from .output import say

    say(f"{table['table']:14} {table['title']} ({table['source']})" for table in tables)
    say("Show one with `nora-bench table nora15/table2`, with runs beside it: `nora-bench table nora15/table2 runs/NAME`")
