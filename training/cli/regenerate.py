"""`nora-bench data regenerate`: LIBERO's own demonstrations without no-ops."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from .options import DryRunOption, JsonOption, WorkersOption, print_line

STEP_S = 0.006
"""Rough seconds to simulate a step on one core."""


def regenerate(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of HDF5 demonstrations; repeatable.")],
    out: Annotated[Path, typer.Option("--out", help="Folder; gets one folder per suite.")],
    assets: Annotated[
        str, typer.Option("--assets", help="auto, official, standin, or a folder; physics is the same.")
    ] = "standin",
    workers: WorkersOption = 1,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove no-ops from LIBERO's demonstrations, replay the rest, and keep those that still succeed.

    Example: `nora-bench data regenerate --data datasets/libero_goal --out no_noops --workers 4`

    The same command resumes.
    """
    from ...envs import suites
    from ...envs.base import EnvOptions
    from ...envs.paths import cache_home
    from ..collection.regenerate import regenerate_all
    from ..data.demonstrations import read_files, task_files
    from ..data.readers import no_sets

    no_sets(data, "has no simulator states to replay. Train on it as it is")
    files = task_files(data)
    steps = [len(demonstration) for demonstration in read_files(files)]
    console = Console(stderr=as_json)
    print_line(
        console,
        f"{len(steps)} demonstrations, {sum(steps)} steps at most, about {sum(steps) * STEP_S / workers / 60:.0f} min "
        f"({workers} processes) -> {out}",
    )
    if dry_run:
        return
    options = EnvOptions(suites.get("libero_object").resolve_assets(assets).path, "none", str(cache_home()))
    with counting(console, "files", len(files)) as report:
        counts = regenerate_all(files, out, options, workers=workers, report=lambda demonstrations: report(1))
    share = counts.noops / counts.steps if counts.steps else 0.0
    print_line(
        console, f"{counts.kept} kept, {counts.failed} failed and were dropped; {share:.1%} of the steps were no-ops: {out}"
    )
    if as_json:
        print(json.dumps({"folder": str(out), **asdict(counts)}))
