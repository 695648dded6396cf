"""`nora-bench data render`: images of demonstrations, rendered ahead of training."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from .options import AssetsOption, DataOption, DryRunOption, GripperOption, JsonOption, WorkersOption, print_line

IMAGE_S = 0.05
"""Rough seconds to render an image of 256 pixels in software on one core; tests/benchmarks/bench_standin_render.py."""


def render(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Image cache, for all image settings.")] = Path("frames"),
    size: Annotated[int, typer.Option("--image-size", min=8, help="Side in pixels.")] = 112,
    every: Annotated[int, typer.Option("--frame-stride", min=1, help="Control steps from one image to the next.")] = 2,
    camera: Annotated[str, typer.Option("--camera", help="primary, wrist, or a name in the data set.")] = "primary",
    gripper: GripperOption = None,
    assets: AssetsOption = "standin",
    workers: WorkersOption = 1,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Render the images of demonstrations as an evaluation does; existing ones are kept.

    Example: `nora-bench data render --data demonstrations/libero_object --image-size 112 --workers 2`

    Images come from the simulator's states, or from the data set where a third-party one has its own.
    """
    from ..data.images import ImageSpec, render_all
    from ..data.readers import read

    console = Console(stderr=as_json)
    source = read(data, gripper=gripper)
    cache = source.images(out, ImageSpec(size=size, frame_stride=every, camera=camera), assets)
    missing = sum(len(cache.steps(demonstration)) for demonstration in cache.missing(source.demonstrations))
    minutes = missing * IMAGE_S / workers / 60
    print_line(
        console,
        f"{missing} images to render, {missing * 3 * size**2 / 2**20:.0f} MiB, about {minutes:.0f} min ({workers} processes) -> "
        f"{cache.folder}",
    )
    for note in source.notes:
        print_line(console, note)
    started = time.monotonic()
    rendered = 0
    if missing and not dry_run:
        with counting(console, "images", missing) as report:
            rendered = render_all(cache, source.demonstrations, workers=workers, report=report)
    if as_json:
        seconds = round(time.monotonic() - started, 1)
        print(json.dumps({"folder": str(cache.folder), "missing": missing, "rendered": rendered, "seconds": seconds}))
