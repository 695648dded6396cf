"""`nora-bench label`: which of a policy's answers is better."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from .data_options import CameraOption, GripperOption
from .output import plan, say

if TYPE_CHECKING:
    from ..preference.labelling import LabelSettings
    from ..preference.pairs import Part


def label(
    policy: Annotated[str, typer.Option("--policy", help="Checkpoint whose answers are labelled.")],
    data: Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations, HDF5 or LeRobot; can be given again.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the labels; the same command goes on in it.")],
    world_model: Annotated[Path | None, typer.Option("--world-model", help="Folder of a trained world model.")] = None,
    reward: Annotated[list[str] | None, typer.Option("--reward", help="Can be given again.", show_default="all")] = None,
    candidates: Annotated[int, typer.Option("--candidates", min=2, help="Answers per state.")] = 5,
    margin: Annotated[float, typer.Option("--margin", min=0, help="Smallest difference of a pair's rewards.")] = 0.0,
    states: Annotated[int | None, typer.Option("--states", min=1, help="Most states.", show_default="all")] = None,
    episodes: Annotated[
        int | None, typer.Option("--episodes", min=1, help="Demonstrations per task.", show_default="all")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Steps from one picture of the policy's to the next.")] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Of the answers' noise.")] = 0,
    head: Annotated[Literal["flow", "fast"], typer.Option("--head", help="fast: answers of the token head.")] = "flow",
    temperature: Annotated[float, typer.Option("--temperature", help="Of the token head's answers.")] = 1.0,
    frames: Annotated[Path, typer.Option("--frames", help="Folder that keeps pictures, for all looks.")] = Path("frames"),
    latents: Annotated[Path, typer.Option("--latents", help="Folder that keeps encoded frames.")] = Path("latents"),
    gripper: GripperOption = None,
    camera: CameraOption = None,
    assets: Annotated[str, typer.Option("--assets", help="Pack that pictures are drawn with.")] = "standin",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a policy several times at demonstrated states, score its answers under each reward, make pairs.

    Example: `nora-bench label --policy nano --data demonstrations --world-model world-model --out labels`

    Rewards: wm-endgoal, wm-subgoal (world model), gta (the demonstrated action), wm-endgoal+gta, wm-subgoal+gta, released.
    """
    from ..data.images import Look
    from ..data.readers import read
    from ..preference.labelling import LabelSettings, label_all, open_labeller
    from ..preference.pairs import read as read_labels
    from ..preference.rewards import REWARDS

    console = Console(stderr=as_json)
    asked = {"candidates": candidates, "margin": margin, "seed": seed, "limit": states, "head": head, "temperature": temperature}
    settings = LabelSettings(tuple(reward or REWARDS), **asked)
    known = read(data, gripper=gripper, most=episodes)
    labeller, about = open_labeller(
        settings,
        policy,
        lambda size: known.pictures(frames, Look(size=size, every=every), assets, camera),
        world_model,
        lambda size: known.pictures(frames, Look(size=size, every=1), assets, camera),
        latents,
    )
    found = labeller.states(known.demonstrations)
    _show(console, settings, len(found), out, known.noted())
    if dry_run:
        return
    started = time.monotonic()
    with counting(console, "states", len(found)) as done:
        label_all(labeller, known.demonstrations, out, about, done)
    _report(console, settings, read_labels(out), round(time.monotonic() - started, 1), out, as_json=as_json)


def _show(console: Console, settings: LabelSettings, states: int, out: Path, noted: Mapping[str, str]) -> None:
    plan(
        console,
        states=f"{states}, {settings.candidates} answers each",
        rewards=", ".join(settings.rewards),
        margin=settings.margin,
        folder=out,
        **noted,
    )


def _report(console: Console, settings: LabelSettings, part: Part, seconds: float, out: Path, *, as_json: bool) -> None:
    pairs = {name: int((part.pairs[name] >= 0).all(axis=1).sum()) for name in settings.rewards}
    for name, count in pairs.items():
        say(console, f"{name:>15}  {count} pairs of {len(part.states)} states")
    say(console, f"labels in {out}, {seconds} s")
    if as_json:
        print(json.dumps({"folder": str(out), "states": len(part.states), "pairs": pairs, "seconds": seconds}))
