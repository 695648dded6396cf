"""`nora-bench train sft`: supervised fine-tuning of NORA and NORA-1.5."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .data_options import CameraOption, GripperOption
from .output import plan, say, speaks

if TYPE_CHECKING:
    from ..sft.recipe import SftRecipe
    from ..sft.stage import Prepared


def sft(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations, HDF5 or LeRobot; can be given again.")],
    recipe: Annotated[str, typer.Option("--recipe", help="nano, nano-plain, paper, released, or a .yaml file.")] = "nano",
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; goes on with what is in it.")] = Path("sft"),
    frames: Annotated[Path, typer.Option("--frames", help="Pictures of `train pictures`; missing ones are drawn.")] = Path(
        "frames"
    ),
    checkpoint: Annotated[
        str | None, typer.Option("--from", help="Checkpoint or hub id to start from.", show_default="the recipe's")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Updates.", show_default="the recipe's")] = None,
    eval_every: Annotated[
        int | None,
        typer.Option("--eval-every", min=1, help="Updates from one evaluation to the next.", show_default="the recipe's"),
    ] = None,
    gripper: GripperOption = None,
    camera: CameraOption = None,
    assets: Annotated[str, typer.Option("--assets", help="What missing pictures are drawn with.")] = "standin",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Of torch.", show_default="torch's")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fine-tune on demonstrations; the same command goes on where it was stopped.

    Example: `nora-bench train sft --data demonstrations --recipe nano --out sft`

    Each checkpoint in the folder is a policy: `nora-bench run --policy sft/step-000500`. Several devices: `accelerate
    launch -m nora_bench.training.cli.launch sft ...` with the same options.
    """
    import torch

    from ..engine.config import read_recipe
    from ..sft.recipe import SftRecipe
    from ..sft.stage import prepare, run

    if threads:
        torch.set_num_threads(threads)
    console = Console(stderr=as_json)
    wanted = _with_options(read_recipe(recipe, "sft", SftRecipe), checkpoint, steps, eval_every)
    prepared = prepare(wanted, data, frames, out, assets, gripper=gripper, camera=camera)
    plan(console, **dict(prepared.lines()), time=_cost(prepared))
    if not dry_run:
        folder = run(prepared, _progress(console, wanted.loop.steps))
        say(console, f"nora-bench run --suite {wanted.evaluation.suites[0]} --policy {folder}")
    if as_json and speaks():
        print(json.dumps({"folder": str(out), "steps": wanted.loop.steps, "examples": len(prepared.training)}))


def _with_options(recipe: SftRecipe, checkpoint: str | None, steps: int | None, eval_every: int | None) -> SftRecipe:
    start = replace(recipe.start, checkpoint=checkpoint) if checkpoint else recipe.start
    return replace(recipe, loop=recipe.loop.changed(steps=steps, eval_every=eval_every), start=start)


def _cost(prepared: Prepared) -> str:
    """What the updates that are left will take, measured on a few of them."""
    from ..engine.objective import seconds_per_update

    done = prepared.done()
    seconds = seconds_per_update(prepared.objective, prepared.training, prepared.loop)
    left = prepared.loop.steps - done
    return f"{seconds:.2f} s per update measured now; {left} left of {prepared.loop.steps}: about {left * seconds / 60:.0f} min"


def _progress(console: Console, steps: int) -> Any:
    """Prints one line per report."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        left = (steps - step) / numbers["updates_per_second"] / 60
        shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if name != "updates_per_second")
        say(console, f"{step}/{steps}  {shown}  {left:.0f} min left")

    return report
