"""`nora-bench train sft`: supervised fine-tuning of NORA and NORA-1.5."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .options import (
    AssetsOption,
    CameraOption,
    DataOption,
    DryRunOption,
    FramesOption,
    GripperOption,
    JsonOption,
    SetOption,
    StepsOption,
    is_main_process,
    overrides,
    print_line,
    print_plan,
)

if TYPE_CHECKING:
    from ..engine.trainer import ProgressCallback
    from ..sft.stage import SftRun


def sft(
    data: DataOption,
    recipe: Annotated[str, typer.Option("--recipe", help="nano, nano-plain, paper, released, or a .yaml file.")] = "nano",
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; the same command resumes it.")] = Path("sft"),
    frames: FramesOption = Path("frames"),
    init_from: Annotated[
        str | None, typer.Option("--init-from", help="Initial checkpoint or hub id.", show_default="the recipe's")
    ] = None,
    assignments: SetOption = None,
    steps: StepsOption = None,
    eval_every: Annotated[
        int | None, typer.Option("--eval-every", min=1, help="Same as --set loop.eval_every=.", show_default="the recipe's")
    ] = None,
    gripper: GripperOption = None,
    camera: CameraOption = None,
    assets: AssetsOption = "standin",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of torch.", show_default="torch's")] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a policy on demonstrations; the same command resumes.

    Example: `nora-bench train sft --data demonstrations --recipe nano --out sft`

    Each checkpoint in the folder is a policy: `nora-bench run --policy sft/step-000500`. Several devices: `accelerate
    launch -m nora_bench.training.cli.launch sft ...` with the same options.
    """
    import torch

    from ..engine.config import read_recipe
    from ..sft.stage import SftRecipe, main

    if threads:
        torch.set_num_threads(threads)
    console = Console(stderr=as_json)
    shorthands = {"start.checkpoint": init_from, "loop.steps": steps, "loop.eval_every": eval_every}
    settings = read_recipe(recipe, "sft", SftRecipe, overrides(assignments, shorthands))
    run = main(
        settings,
        data,
        frames,
        out,
        assets,
        gripper=gripper,
        camera=camera,
        dry_run=dry_run,
        announce=lambda run: print_plan(console, **dict(run.lines()), time=_cost(run)),
        report=_progress(console, settings.loop.steps),
    )
    if not dry_run:
        print_line(console, f"nora-bench run --suite {settings.evaluation.suites[0]} --policy {run.last_checkpoint}")
    if as_json and is_main_process():
        print(json.dumps({"folder": str(out), "steps": run.loop.steps, "examples": len(run.training)}))


def _cost(run: SftRun) -> str:
    """Estimated time of the remaining updates, from a few measured passes."""
    from ..engine.devices import PARAMETERS_TIMED_ON_CPU
    from ..engine.objective import seconds_per_update

    parameters = sum(parameter.numel() for parameter in run.objective.parameters())
    if run.objective.device.type == "cpu" and parameters > PARAMETERS_TIMED_ON_CPU:
        return f"not measured: {parameters:,} parameters on a CPU"
    left = run.loop.steps - run.finished_steps()
    seconds = seconds_per_update(run.objective, run.training, run.loop)
    return f"{seconds:.2f} s per update measured now; {left} left of {run.loop.steps}: about {left * seconds / 60:.0f} min"


def _progress(console: Console, steps: int) -> ProgressCallback:
    """A progress callback that prints all metrics and the time left."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        left = (steps - step) / numbers["updates_per_second"] / 60
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if name != "updates_per_second")
        print_line(console, f"{step}/{steps}  {metrics}  {left:.0f} min left")

    return report
