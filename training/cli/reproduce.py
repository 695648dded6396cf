"""`nora-bench reproduce`: both papers' pipeline from nothing to their tables."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from ...envs.errors import InputError
from .options import print_line

if TYPE_CHECKING:
    from ..reproduce.pipeline import PipelineStage


QUICK = ("nano", "findings")
"""Pipelines with a tiny recipe."""


def reproduce(
    what: Annotated[
        Literal["nano", "findings", "paper", "released"],
        typer.Argument(
            help="nano: the pipeline, here, on a CPU. findings: experiments with power for each finding, many hours. "
            "paper: the full size, plan only. released: the papers' tables with their checkpoints."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for everything; the same command resumes.", show_default="reproduction, or findings"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Minutes instead of hours: a smoke test that learns nothing.")] = False,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="scratch: without the base model of `nano`; or a .yaml file.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run/--run", help="Print the stages and their cost, and stop.")] = False,
    row: Annotated[
        list[str] | None, typer.Option("--row", help="released: a row of the plan; repeatable. All by default.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None, typer.Option("--checkpoint", help="released: ROW=CHECKPOINT, a hub id or a folder; repeatable.")
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="released: number of seeds (recipe: 3).")] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="released: stopping rule of each run, as of `nora-bench run`.")
    ] = None,
    rehearsal: Annotated[
        bool, typer.Option("--rehearsal", help="released: nora-1.5-nano for every checkpoint, one episode per suite.")
    ] = False,
) -> None:
    """Reproduce the papers' comparisons: demonstrations, training, world model, preferences, tables.

    Example: `nora-bench reproduce nano --quick --out reproduction`

    `released` runs each released checkpoint on the suites of its row of the papers' tables and prints published against measured
    rates with a verdict.
    """
    console = Console()
    only = {"--row": row, "--checkpoint": checkpoint, "--seeds": seeds, "--until": until, "--rehearsal": rehearsal}
    if what != "released" and (given := [name for name, value in only.items() if value]):
        raise InputError(f"{given[0]} is an option of `reproduce released`. Type: nora-bench reproduce {what} --help")
    if quick and what not in QUICK:
        raise InputError(f"--quick is an option of `reproduce nano` and `reproduce findings`, not of {what}. Omit it")
    if quick and recipe:
        raise InputError("--quick and --recipe exclude each other: --quick is the recipe `quick`. Omit one of them")
    out = out or Path("findings" if what == "findings" else "reproduction")
    if what == "released":
        changes = {"seeds": seeds, "until": until, "workers": workers, "rehearsal": rehearsal or None}
        _released(console, str(recipe or "released"), out, (row or [], checkpoint or []), changes, dry_run=dry_run)
        return
    if what == "paper":
        if not dry_run:
            raise InputError("the full size can only be planned. Type: nora-bench reproduce paper --dry-run")
        from ..reproduce.compute_estimate import lines

        for line in lines():
            print_line(console, line)
        return
    name = str(recipe or ("quick" if quick else "nano"))
    if what == "findings":
        _findings(console, name, out, workers or 1, dry_run=dry_run)
    else:
        _nano(console, name, out, workers, dry_run=dry_run)


def _nano(console: Console, recipe: str, out: Path, workers: int | None, *, dry_run: bool) -> None:
    from ..engine.config import read_recipe
    from ..reproduce.nora import Reproduction, nano_stages, write_recipes
    from ..reproduce.pipeline import is_done, minutes, run_all
    from ..reproduce.report import conclude

    recipe_values = read_recipe(recipe, "reproduce", Reproduction)
    settings = replace(recipe_values, workers=workers or recipe_values.workers)
    settings.validate()
    stages = [*nano_stages(settings, out)]
    left = [stage for stage in stages if not is_done(out, stage)]
    print_line(
        console, f"{len(stages)} stages, {len(left)} to do, about {minutes(sum(s.seconds for s in left))} on one core -> {out}"
    )
    if dry_run:
        for stage in stages:
            state = "done" if stage not in left else minutes(stage.seconds)
            print_line(console, f"{state:>8}  {stage.name}\n          {stage.line()}")
        return
    started = time.monotonic()
    write_recipes(settings, out)
    run_all(stages, out, lambda line: print_line(console, line))
    for path in conclude(settings, out):
        print_line(console, f"written: {path}")
    print_line(console, f"{(time.monotonic() - started) / 60:.1f} min")


def _released(
    console: Console,
    recipe: str,
    out: Path,
    rows: tuple[list[str], list[str]],
    changes: dict[str, Any],
    *,
    dry_run: bool,
) -> None:
    from ..engine.config import TrainingError, read_recipe
    from ..reproduce.pipeline import is_done, minutes
    from ..reproduce.released import Released, run_released, selected, stages, write_report

    given = {name: value for name, value in changes.items() if value is not None}
    settings = selected(replace(read_recipe(recipe, "reproduce", Released), **given), *rows)
    settings.validate()
    plan = list(stages(settings, out))
    left = [stage for _, stage in plan if not is_done(out, stage)]
    cost = f"about {minutes(sum(stage.seconds for stage in left))} on one core, without the policies' own time"
    print_line(console, f"{len(plan)} runs, {len(left)} to do, {cost} -> {out}")
    if dry_run:
        for row, stage in plan:
            state = "done" if stage not in left else minutes(stage.seconds)
            unsure = "" if row.id_known or settings.rehearsal else "; the hub id was not found in public code"
            print_line(console, f"{state:>8}  {row.name}: {row.table}, {row.row}{unsure}\n          {stage.line()}")
        return
    failed = run_released(settings, out, lambda line: print_line(console, line))
    written = write_report(settings, out, failed)
    print_line(console, written[0].read_text(encoding="utf-8"))
    for path in written:
        print_line(console, f"written: {path}")
    if failed:
        raise TrainingError(f"{len(failed)} of {len(plan)} runs failed ({', '.join(failed)}). The same command resumes them")


def _findings(console: Console, recipe: str, out: Path, workers: int, *, dry_run: bool) -> None:
    from ..engine.config import read_recipe
    from ..reproduce.choices import progress, run_experiments
    from ..reproduce.experiments import Experiments
    from ..reproduce.findings_report import PRIMARIES, conclude_findings
    from ..reproduce.pipeline import minutes, unfinished

    settings = read_recipe(recipe, "findings", Experiments)
    settings.validate()
    now = progress(settings, out, workers)
    todo = unfinished(now.stages, out)
    cost = minutes(sum(stage.seconds for stage in todo))
    print_line(console, f"{len(now.stages)} stages, {len(todo)} to do, about {cost} on one core -> {out}")
    print_line(
        console, "The same command in a second shell shares the stages; each is run once, and stopping loses only those begun"
    )
    for name in settings.choices:
        option = now.made.get(name)
        print_line(console, f"choice {name}: {option or f'open, {settings.choices[name].assumed} is assumed for the cost'}")
    if dry_run:
        for verb, seconds in _by_verb(todo).items():
            print_line(console, f"{minutes(seconds):>8}  {verb}")
        for stage in now.stages:
            state = minutes(stage.seconds) if stage in todo else "-"
            print_line(console, f"{state:>8}  {stage.name}\n          {stage.line()}")
        return
    run_experiments(settings, out, workers, lambda line: print_line(console, line))
    written = conclude_findings(settings, out, lambda line: print_line(console, line))
    for path in written:
        if path.name == PRIMARIES:
            print_line(console, path.read_text(encoding="utf-8"))
    for path in written:
        print_line(console, f"written: {path}")


def _by_verb(stages: list[PipelineStage]) -> dict[str, float]:
    """Seconds of the stages by their verb."""
    found: dict[str, float] = {}
    for stage in stages:
        verb = " ".join(stage.command[:2]) if stage.command[0] in ("train", "data") else stage.command[0]
        found[verb] = found.get(verb, 0.0) + stage.seconds
    return found
