"""`nora-bench reproduce`: both papers' pipeline from nothing to their tables."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ...envs.errors import InputError
from .options import print_line


def reproduce(
    what: Annotated[Literal["nano", "paper"], typer.Argument(help="nano: here, on a CPU. paper: the full size, plan only.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for everything; the same command resumes.")] = Path("reproduction"),
    quick: Annotated[bool, typer.Option("--quick", help="Minutes instead of hours: a smoke test that learns nothing.")] = False,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="scratch: without the base model of `nano`; or a .yaml file.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the stages and their cost, and stop.")] = False,
) -> None:
    """Reproduce the papers' comparisons: demonstrations, training, world model, preferences, tables.

    Example: `nora-bench reproduce nano --quick --out reproduction`
    """
    console = Console()
    if what == "paper":
        if not dry_run:
            raise InputError("the full size can only be planned. Type: nora-bench reproduce paper --dry-run")
        from ..reproduce.compute_estimate import lines

        for line in lines():
            print_line(console, line)
        return
    _nano(console, str(recipe or ("quick" if quick else "nano")), out, workers, dry_run=dry_run)


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
