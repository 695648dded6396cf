"""`nora-bench train world-encoder`: an encoder that locates objects, for small world models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import AssetsOption, DataOption, EpisodesOption, FramesOption, JsonOption, print_line


def world_encoder(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder; gets encoder.safetensors. An existing one is kept.")],
    preset: Annotated[str, typer.Option("--preset", help="Sizes of the world model.")] = "nano",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Updates of 16 images.")] = 1500,
    episodes: EpisodesOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the initial weights and of the order of images.")] = 0,
    frames: FramesOption = Path("frames"),
    assets: AssetsOption = "standin",
    as_json: JsonOption = False,
) -> None:
    """Train a world model's encoder to locate the objects in demonstrations that nora-bench collected.

    Example: `nora-bench train world-encoder --data demonstrations --episodes 4 --out encoder`

    Then: `nora-bench train world-model --data demonstrations --init-from encoder/encoder.safetensors --out world-model`
    """
    from ...envs.errors import UnknownName
    from ..data.images import ImageSpec
    from ..data.readers import read, split
    from ..world_model import checkpoint
    from ..world_model.encoder import ScenePlaces, save_encoder, train_encoder
    from ..world_model.model import PRESETS

    console, path = Console(stderr=as_json), out / "encoder.safetensors"
    if path.is_file():
        print_line(console, f"{path} exists and is kept")
        return
    if preset not in PRESETS:
        raise UnknownName("preset", preset, PRESETS)
    source = read(data, most=episodes, model=True)
    world = checkpoint.untrained(PRESETS[preset], seed)
    images = source.images(frames, ImageSpec(size=world.config.image_size, frame_stride=1), assets)
    losses = train_encoder(world, ScenePlaces.of(split(source.demonstrations)[0], images), steps, seed)
    save_encoder(world, path)
    tail = losses[-max(1, len(losses) // 10) :]
    mean = sum(tail) / len(tail)
    print_line(console, f"{path}: loss {losses[0]:.3f} at first, {mean:.3f} over the last {len(tail)} updates")
    if as_json:
        print(json.dumps({"file": str(path), "first_loss": losses[0], "last_loss": mean}))
