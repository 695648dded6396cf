"""`nora-bench train world-model`: what a picture will look like after an action."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from .data_options import CameraOption, GripperOption
from .output import plan, say, speaks, updates

FRAME_S = 0.05
"""Rough seconds to draw a frame in software on one core; see `train pictures`."""


def world_model(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations, HDF5 or LeRobot; can be given again.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; the same command goes on in it.")],
    recipe: Annotated[str, typer.Option("--recipe", help="nano, paper, or a .yaml file.")] = "nano",
    episodes: Annotated[
        int | None, typer.Option("--episodes", min=1, help="Demonstrations per task.", show_default="all")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="Weights to start from (.safetensors or a folder).")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Updates, instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the recipe's.")] = None,
    frames: Annotated[Path, typer.Option("--frames", help="Folder that keeps pictures, for all looks.")] = Path("frames"),
    latents: Annotated[Path, typer.Option("--latents", help="Folder that keeps encoded frames.")] = Path("latents"),
    gripper: GripperOption = None,
    camera: CameraOption = None,
    assets: Annotated[str, typer.Option("--assets", help="Pack that frames are drawn with.")] = "standin",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train the action-conditioned world model on demonstrations, on top of a frozen encoder.

    Example: `nora-bench train world-model --data demonstrations --out world-model --episodes 4`
    """
    from ..data.images import Look
    from ..data.readers import read
    from ..engine.config import read_recipe
    from ..world_model.stage import WorldModelRecipe, look_up

    console = Console(stderr=as_json)
    wanted = read_recipe(recipe, "world-model", WorldModelRecipe)
    wanted = replace(wanted, loop=wanted.loop.changed(steps=steps, seed=seed), start=start or wanted.start)
    found = read(data, gripper=gripper, most=episodes)
    stage = look_up(
        wanted, found.demonstrations, lambda size: found.pictures(frames, Look(size=size, every=1), assets, camera), latents
    )
    missing, loop = stage.frames_missing, wanted.loop
    plan(
        console,
        demonstrations=f"{len(stage.training)} to train on, {len(stage.validation)} to validate on",
        frames=f"{missing} to draw and encode, about {missing * FRAME_S / 60:.0f} min where none is drawn yet",
        updates=f"{loop.steps} of {loop.batch * loop.accumulation} windows of {wanted.window} frames",
        folder=out,
        **found.noted(),
    )
    if dry_run:
        return
    started = time.monotonic()
    with counting(console, "frames", missing) as encoded:
        folder = stage.run(out, encoded, updates(console, ("loss", "teacher_forcing", "rollout")))
    seconds = round(time.monotonic() - started, 1)
    say(console, f"world model in {folder}, {seconds} s")
    if as_json and speaks():
        print(json.dumps({"folder": str(folder), "frames": missing, "seconds": seconds}))
