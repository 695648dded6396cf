"""`nora-bench train world-model`: prediction of the image after an action."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from .options import (
    AssetsOption,
    CameraOption,
    DataOption,
    DryRunOption,
    EpisodesOption,
    FramesOption,
    GripperOption,
    JsonOption,
    LatentsOption,
    SeedOption,
    SetOption,
    StepsOption,
    is_main_process,
    overrides,
    print_line,
    print_plan,
    progress_callback,
)

FRAME_S = 0.05
"""Rough seconds to render a frame in software on one core; see `data render`."""


def world_model(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; the same command resumes it.")],
    recipe: Annotated[str, typer.Option("--recipe", help="nano, paper, or a .yaml file.")] = "nano",
    episodes: EpisodesOption = None,
    init_from: Annotated[
        str | None, typer.Option("--init-from", help="Initial weights, .safetensors or a folder.", show_default="the recipe's")
    ] = None,
    assignments: SetOption = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    frames: FramesOption = Path("frames"),
    latents: LatentsOption = Path("latents"),
    gripper: GripperOption = None,
    camera: CameraOption = None,
    assets: AssetsOption = "standin",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the action-conditioned world model on demonstrations, on top of a frozen encoder.

    Example: `nora-bench train world-model --data demonstrations --out world-model --episodes 4`
    """
    from ..data.images import ImageSpec
    from ..data.readers import read
    from ..engine.config import read_recipe
    from ..world_model.stage import WorldModelRecipe, prepare

    console = Console(stderr=as_json)
    shorthands = {"loop.steps": steps, "loop.seed": seed, "init_from": init_from}
    settings = read_recipe(recipe, "world-model", WorldModelRecipe, overrides(assignments, shorthands))
    source = read(data, gripper=gripper, most=episodes)
    stage = prepare(
        settings,
        source.demonstrations,
        lambda size: source.images(frames, ImageSpec(size=size, frame_stride=1), assets, camera),
        latents,
    )
    missing, loop = stage.frames_missing, settings.loop
    print_plan(
        console,
        demonstrations=f"{len(stage.training)} for training, {len(stage.validation)} for validation",
        frames=f"{missing} to render and encode, about {missing * FRAME_S / 60:.0f} min if none is rendered yet",
        updates=f"{loop.steps} of {loop.examples_per_update} windows of {settings.window} frames",
        folder=out,
        **source.noted(),
    )
    if dry_run:
        return
    started = time.monotonic()
    with counting(console, "frames", missing) as encoded:
        folder = stage.run(out, encoded, progress_callback(console, ("loss", "teacher_forcing", "rollout")))
    seconds = round(time.monotonic() - started, 1)
    print_line(console, f"world model in {folder}, {seconds} s")
    if as_json and is_main_process():
        print(json.dumps({"folder": str(folder), "frames": missing, "seconds": seconds}))
