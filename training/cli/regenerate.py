"""`nora-bench train regenerate`: LIBERO's own demonstrations, made ready."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting

STEP_S = 0.006
"""Rough seconds to play a step on one core."""


def regenerate(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of HDF5 demonstrations; can be given again.")],
    out: Annotated[Path, typer.Option("--out", help="Folder; gets one folder per suite.")],
    assets: Annotated[
        str, typer.Option("--assets", help="auto, official, standin, or a folder; physics is the same.")
    ] = "standin",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that play.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Leave no-ops out of LIBERO's own demonstrations, play the rest again, and keep those that still succeed.

    Example: `nora-bench train regenerate --data datasets/libero_goal --out no_noops --workers 4`

    The same command goes on where it was stopped.
    """
    from ...envs import suites
    from ...envs.base import EnvOptions
    from ...envs.paths import cache_home
    from ..collection.regenerate import regenerate_all
    from ..data.demonstrations import read_files, task_files
    from ..data.readers import no_sets

    no_sets(data, "has no states of a simulator: nothing can be played again. It can be trained on as it is")
    files = task_files(data)
    steps = [len(demonstration) for demonstration in read_files(files)]
    console = Console(stderr=as_json)
    _say(
        console,
        f"{len(steps)} demonstrations, {sum(steps)} steps at most, about {sum(steps) * STEP_S / workers / 60:.0f} min "
        f"({workers} processes) -> {out}",
    )
    if dry_run:
        return
    options = EnvOptions(suites.get("libero_object").resolve_assets(assets).path, "none", str(cache_home()))
    with counting(console, "files", len(files)) as report:
        found = regenerate_all(files, out, options, workers=workers, report=lambda demonstrations: report(1))
    share = found.noops / found.steps if found.steps else 0.0
    _say(console, f"{found.kept} kept, {found.failed} failed and were left out; {share:.1%} of the steps were no-ops: {out}")
    if as_json:
        print(json.dumps({"folder": str(out), **asdict(found)}))


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
