"""`nora-bench train dpo`: a policy that prefers what the rewards preferred."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from .output import plan, say, speaks, updates


def dpo(
    policy: Annotated[str, typer.Option("--policy", help="Checkpoint to start from; also the frozen reference.")],
    labels: Annotated[Path, typer.Option("--labels", help="Folder of labelled states (`nora-bench label`).")],
    reward: Annotated[str, typer.Option("--reward", help="Whose pairs; see `nora-bench label`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; the same command goes on in it.")],
    recipe: Annotated[str, typer.Option("--recipe", help="nano, paper, released, or a .yaml file.")] = "nano",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Updates, instead of the recipe's.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Peak of the learning rate, instead of the recipe's.")] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the recipe's.")] = None,
    head: Annotated[
        Literal["flow", "fast"] | None, typer.Option("--head", help="Which head learns, instead of the recipe's.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train a policy on preference pairs, against itself as it was.

    Example: `nora-bench train dpo --policy nano --labels labels --reward gta --out dpo`
    """
    from ..engine.config import read_recipe
    from ..preference.stage import DpoRecipe, look_up

    console = Console(stderr=as_json)
    wanted = read_recipe(recipe, "dpo", DpoRecipe)
    settings = wanted.dpo if beta is None else replace(wanted.dpo, beta=beta)
    wanted = replace(wanted, loop=wanted.loop.changed(steps=steps, seed=seed, rate=rate), dpo=settings, head=head or wanted.head)
    stage = look_up(wanted, policy, labels, reward)
    loop = wanted.loop
    plan(
        console,
        pairs=f"{len(stage.examples)} of {len(stage.examples.part.states)} states under {reward}",
        objective=f"{wanted.head}, {wanted.trained} model trained, {settings}",
        updates=f"{loop.steps} of {loop.batch * loop.accumulation} pairs",
        folder=out,
    )
    if dry_run:
        return
    started = time.monotonic()
    folder = stage.run(out, updates(console, ("loss", "accuracy", "margin", "drift")))
    seconds = round(time.monotonic() - started, 1)
    say(console, f"policy in {folder}, {seconds} s; play it: nora-bench run --policy {folder}")
    if as_json and speaks():
        print(json.dumps({"folder": str(folder), "pairs": len(stage.examples), "seconds": seconds}))
