"""`nora-bench reproduce`: both papers' pipeline from nothing to their tables."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ...harness.errors import InputError
from .output import say


def reproduce(
    what: Annotated[Literal["nano", "paper"], typer.Argument(help="nano: here, on a CPU. paper: the full size, plan only.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for everything; the same command goes on in it.")] = Path(
        "reproduction"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Tiny, in minutes: shows that it works, learns nothing.")] = False,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="scratch: without the base of `nano`; or a .yaml file.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes that play and draw.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the stages and their cost, and stop.")] = False,
) -> None:
    """Reproduce the papers' comparisons from nothing: demonstrations, training, world model, preferences, tables.

    Example: `nora-bench reproduce nano --quick --out reproduction`
    """
    console = Console()
    if what == "paper":
        if not dry_run:
            raise InputError("the full size is only planned here. Type: nora-bench reproduce paper --dry-run")
        from ..reproduce.compute_estimate import lines

        for line in lines():
            say(console, line)
        return
    _nano(console, str(recipe or ("quick" if quick else "nano")), out, workers, dry_run=dry_run)


def _nano(console: Console, recipe: str, out: Path, workers: int | None, *, dry_run: bool) -> None:
    from ..engine.config import read_recipe
    from ..reproduce.nora import Reproduction, nano_stages, write_recipes
    from ..reproduce.pipeline import is_done, minutes, run_all
    from ..reproduce.report import conclude

    wanted = read_recipe(recipe, "reproduce", Reproduction)
    wanted = replace(wanted, workers=workers or wanted.workers)
    if problem := wanted.problem():
        raise InputError(problem)
    stages = [*nano_stages(wanted, out)]
    left = [stage for stage in stages if not is_done(out, stage)]
    say(console, f"{len(stages)} stages, {len(left)} to do, about {minutes(sum(s.seconds for s in left))} on one core -> {out}")
    if dry_run:
        for stage in stages:
            done = "done" if stage not in left else minutes(stage.seconds)
            say(console, f"{done:>8}  {stage.name}\n          {stage.line()}")
        return
    started = time.monotonic()
    write_recipes(wanted, out)
    run_all(stages, out, lambda line: say(console, line))
    for path in conclude(wanted, out):
        say(console, f"written: {path}")
    say(console, f"{(time.monotonic() - started) / 60:.1f} min")
