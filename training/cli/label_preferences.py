"""`nora-bench label-preferences`: preference pairs from actions that a policy samples."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from ...harness.cli.bar import counting
from ..preference.rewards import REWARDS
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
    print_line,
    print_plan,
    single_command,
)

if TYPE_CHECKING:
    from ..preference.labelling import LabelSettings
    from ..preference.pairs import Part

WITHOUT_WORLD_MODEL = ", ".join(name for name, reward in REWARDS.items() if not reward.goal)
REWARD_HELP = f"Repeatable; one of {', '.join(REWARDS)}. All but {WITHOUT_WORLD_MODEL} need --world-model."


def _label_preferences(
    policy: Annotated[str, typer.Option("--policy", help="Checkpoint whose sampled chunks are labelled.")],
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for the labels; the same command resumes.")],
    world_model: Annotated[Path | None, typer.Option("--world-model", help="Folder of a trained world model.")] = None,
    reward: Annotated[list[str] | None, typer.Option("--reward", help=REWARD_HELP, show_default="all")] = None,
    candidates: Annotated[int, typer.Option("--candidates", min=2, help="Chunks per state.")] = 5,
    margin: Annotated[float, typer.Option("--margin", min=0, help="Smallest difference of a pair's rewards.")] = 0.0,
    states: Annotated[int | None, typer.Option("--states", min=1, help="Maximum number of states.", show_default="all")] = None,
    episodes: EpisodesOption = None,
    every: Annotated[int, typer.Option("--frame-stride", min=1, help="Control steps from one image to the next.")] = 2,
    after_takeover: Annotated[
        int | None,
        typer.Option(
            "--after-takeover",
            min=0,
            help="Only states at most so many steps after an expert took over (`nora-bench collect --learner`).",
            show_default="all states",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed for sampling.")] = 0,
    head: Annotated[Literal["flow", "fast"], typer.Option("--head", help="Head that is sampled; fast: the token head.")] = "flow",
    temperature: Annotated[float, typer.Option("--temperature", help="Temperature of the token head.")] = 1.0,
    frames: FramesOption = Path("frames"),
    latents: LatentsOption = Path("latents"),
    gripper: GripperOption = None,
    camera: CameraOption = None,
    assets: AssetsOption = "standin",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sample action chunks of a policy at demonstrated states, score them under each reward, and pair them.

    Example: `nora-bench label-preferences --policy nora-1.5-nano --data demonstrations --world-model world-model --out labels`

    Without --reward, all rewards are scored, or those of the labels in --out.
    """
    from ..data.images import ImageSpec
    from ..data.readers import read
    from ..preference.labelling import LabelSettings, chosen_rewards, label_all, open_labeller
    from ..preference.pairs import read as read_labels

    console = Console(stderr=as_json)
    settings = LabelSettings(
        chosen_rewards(reward, out),
        candidates=candidates,
        margin=margin,
        seed=seed,
        limit=states,
        head=head,
        temperature=temperature,
        after_takeover=after_takeover,
    )
    source = read(data, gripper=gripper, most=episodes)
    labeller, about = open_labeller(
        settings,
        policy,
        lambda size: source.images(frames, ImageSpec(size=size, frame_stride=every), assets, camera),
        world_model,
        lambda size: source.images(frames, ImageSpec(size=size, frame_stride=1), assets, camera),
        latents,
    )
    count = len(labeller.states(source.demonstrations))
    print_plan(
        console,
        states=f"{count}, {settings.candidates} chunks each",
        rewards=", ".join(settings.rewards),
        margin=settings.margin,
        folder=out,
        **source.noted(),
    )
    if dry_run:
        return
    started = time.monotonic()
    with counting(console, "states", count) as progress:
        label_all(labeller, source.demonstrations, out, about, progress)
    _report(console, settings, read_labels(out), round(time.monotonic() - started, 1), out, as_json=as_json)


def _report(console: Console, settings: LabelSettings, part: Part, seconds: float, out: Path, *, as_json: bool) -> None:
    pairs = {name: int((part.pairs[name] >= 0).all(axis=1).sum()) for name in settings.rewards}
    for name, count in pairs.items():
        print_line(console, f"{name:>15}  {count} pairs of {len(part.states)} states")
    print_line(console, f"labels in {out}, {seconds} s")
    if as_json:
        print(json.dumps({"folder": str(out), "states": len(part.states), "pairs": pairs, "seconds": seconds}))


label_preferences = single_command(_label_preferences, {"--every": "--frame-stride"})
