"""`nora-bench train dpo`: preference optimisation of a policy on labelled pairs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from .options import (
    DryRunOption,
    JsonOption,
    LearningRateOption,
    SeedOption,
    SetOption,
    StepsOption,
    is_main_process,
    overrides,
    print_line,
    print_plan,
    progress_callback,
)


def dpo(
    init_from: Annotated[str, typer.Option("--init-from", help="Initial checkpoint; also the frozen reference.")],
    labels: Annotated[
        list[Path], typer.Option("--labels", help="Folder of labelled states (`nora-bench label-preferences`); repeatable.")
    ],
    reward: Annotated[str, typer.Option("--reward", help="Reward whose pairs are used; see `nora-bench label-preferences`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; the same command resumes it.")],
    recipe: Annotated[str, typer.Option("--recipe", help="nano, paper, released, or a .yaml file.")] = "nano",
    assignments: SetOption = None,
    steps: StepsOption = None,
    learning_rate: LearningRateOption = None,
    seed: SeedOption = None,
    head: Annotated[
        Literal["flow", "fast"] | None, typer.Option("--head", help="Same as --set head=.", show_default="the recipe's")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a policy on preference pairs against its initial self.

    Example: `nora-bench train dpo --init-from nora-1.5-nano --labels labels --reward gta --out dpo`
    """
    from ..engine.config import read_recipe
    from ..preference.stage import DpoRecipe, prepare

    console = Console(stderr=as_json)
    shorthands = {"loop.steps": steps, "loop.learning_rate": learning_rate, "loop.seed": seed, "head": head}
    settings = read_recipe(recipe, "dpo", DpoRecipe, overrides(assignments, shorthands))
    stage = prepare(settings, init_from, labels, reward)
    print_plan(
        console,
        pairs=f"{len(stage.examples)} of {len(stage.examples.part.states)} states under {reward}",
        objective=f"{settings.head}, {settings.trained} model trained, {settings.dpo}",
        updates=f"{settings.loop.steps} of {settings.loop.examples_per_update} pairs",
        folder=out,
    )
    if dry_run:
        return
    started = time.monotonic()
    folder = stage.run(out, progress_callback(console, ("loss", "accuracy", "margin", "drift")))
    seconds = round(time.monotonic() - started, 1)
    print_line(console, f"policy in {folder}, {seconds} s. Evaluate it: nora-bench run --policy {folder}")
    if as_json and is_main_process():
        print(json.dumps({"folder": str(folder), "pairs": len(stage.examples), "seconds": seconds}))
