"""`nora-bench train publish`: a checkpoint without its training state, in a smaller type."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from .output import say


def publish(
    checkpoint: Annotated[str, typer.Option("--from", help="Checkpoint or hub id.")],
    out: Annotated[Path, typer.Option("--out", help="New folder.")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option("--dtype", help="Of the weights in the file.")
    ] = "float16",
    execute: Annotated[
        int | None, typer.Option("--execute", help="Actions of each answer to execute.", show_default="as it says, else all")
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option("--noise", help="Scale of the flow's noise when it is played.", show_default="as it says, else 1"),
    ] = None,
    card: Annotated[Path | None, typer.Option("--card", help="A text about the model, kept beside it.")] = None,
) -> None:
    """Write a checkpoint as it is handed on: no optimiser, no averages, weights in a smaller type.

    Example: `nora-bench train publish --from sft/step-003000 --out my-policy`
    """
    from ..models.export import publish as write

    folder = write(checkpoint, out, dtype, card, execute, noise)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    say(Console(), f"{folder}: {size / 1e6:.1f} MB. nora-bench run --suite libero_object --policy {folder}")
