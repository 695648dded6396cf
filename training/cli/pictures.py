"""`nora-bench train pictures`: draw what a training is going to see."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from ...harness.errors import InputError

PICTURE_S = 0.05
"""Rough seconds for a picture of 256 pixels drawn in software on one core; tests/benchmarks/bench_standin_render.py."""


def pictures(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations; can be given again.")],
    out: Annotated[Path, typer.Option("--out", help="Folder that keeps pictures, for all looks.")] = Path("frames"),
    size: Annotated[int, typer.Option("--size", min=8, help="Side in pixels.")] = 112,
    every: Annotated[int, typer.Option("--every", min=1, help="Steps from one picture to the next.")] = 2,
    camera: Annotated[str, typer.Option("--camera", help="primary or wrist.")] = "primary",
    assets: Annotated[str, typer.Option("--assets", help="auto, official, standin, or a folder.")] = "standin",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that draw.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw the pictures of demonstrations, as an evaluation would show them; those that are there are kept.

    Example: `nora-bench train pictures --data demonstrations/libero_object --size 112 --workers 2`
    """
    from ..demonstrations import read_files, task_files
    from ..frames import Look, draw_all, open_frames

    if camera not in ("primary", "wrist"):
        raise InputError(f"--camera {camera}: primary or wrist")
    files = task_files(data)
    frames = open_frames(out, Look(size=size, every=every, camera=camera), assets)
    lacking = sum(len(frames.steps(demonstration)) for demonstration in frames.missing(read_files(files)))
    console = Console(stderr=as_json)
    minutes = lacking * PICTURE_S / workers / 60
    console.print(
        f"{lacking} pictures to draw, {lacking * 3 * size**2 / 2**20:.0f} MiB, about {minutes:.0f} min "
        f"({workers} processes) -> {frames.folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    started = time.monotonic()
    drawn = 0
    if lacking and not dry_run:
        with counting(console, "pictures", lacking) as report:
            drawn = draw_all(frames, files, workers=workers, report=report)
    if as_json:
        seconds = round(time.monotonic() - started, 1)
        print(json.dumps({"folder": str(frames.folder), "lacking": lacking, "drawn": drawn, "seconds": seconds}))
