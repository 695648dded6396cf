"""`nora-bench train pictures`: draw what a training is going to see."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from .data_options import GripperOption
from .output import say

PICTURE_S = 0.05
"""Rough seconds for a picture of 256 pixels drawn in software on one core; tests/benchmarks/bench_standin_render.py."""


def pictures(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations; can be given again.")],
    out: Annotated[Path, typer.Option("--out", help="Folder that keeps pictures, for all looks.")] = Path("frames"),
    size: Annotated[int, typer.Option("--size", min=8, help="Side in pixels.")] = 112,
    every: Annotated[int, typer.Option("--every", min=1, help="Steps from one picture to the next.")] = 2,
    camera: Annotated[str, typer.Option("--camera", help="primary, wrist, or a column of LeRobot sets.")] = "primary",
    gripper: GripperOption = None,
    assets: Annotated[str, typer.Option("--assets", help="auto, official, standin, or a folder.")] = "standin",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that draw.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make the pictures of demonstrations, as an evaluation would show them; those that are there are kept.

    Example: `nora-bench train pictures --data demonstrations/libero_object --size 112 --workers 2`

    They are drawn from the simulator's states, or read where a data set of others brings them.
    """
    from ..data.images import Look, make_all
    from ..data.readers import read

    console = Console(stderr=as_json)
    found = read(data, gripper=gripper)
    kept = found.pictures(out, Look(size=size, every=every, camera=camera), assets)
    lacking = sum(len(kept.steps(demonstration)) for demonstration in kept.missing(found.demonstrations))
    minutes = lacking * PICTURE_S / workers / 60
    say(
        console,
        f"{lacking} pictures to make, {lacking * 3 * size**2 / 2**20:.0f} MiB, about {minutes:.0f} min ({workers} processes) -> "
        f"{kept.folder}",
    )
    for note in found.notes:
        say(console, note)
    started = time.monotonic()
    drawn = 0
    if lacking and not dry_run:
        with counting(console, "pictures", lacking) as report:
            drawn = make_all(kept, found.demonstrations, workers=workers, report=report)
    if as_json:
        seconds = round(time.monotonic() - started, 1)
        print(json.dumps({"folder": str(kept.folder), "lacking": lacking, "drawn": drawn, "seconds": seconds}))
