"""`nora-bench export-checkpoint`: a checkpoint without its training state, in a smaller type."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from .options import print_line, single_command


def _export_checkpoint(
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="Checkpoint or hub id.")],
    out: Annotated[Path, typer.Option("--out", help="New folder.")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option("--dtype", help="Type of the stored weights.")
    ] = "float16",
    n_action_steps: Annotated[
        int | None,
        typer.Option("--n-action-steps", help="Actions of each chunk to execute.", show_default="the checkpoint's, else all"),
    ] = None,
    noise_scale: Annotated[
        float | None,
        typer.Option("--noise-scale", help="Scale of the flow's noise at inference.", show_default="the checkpoint's, else 1"),
    ] = None,
    card: Annotated[Path | None, typer.Option("--card", help="Model card to copy beside the weights.")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write a graph for ONNX Runtime: inference without torch.")] = False,
) -> None:
    """Write a checkpoint for distribution: no optimizer state, no averages, weights in a smaller type.

    Example: `nora-bench export-checkpoint --checkpoint sft/step-003000 --out my-policy`
    """
    from ..models.export import publish

    folder = publish(checkpoint, out, dtype, card, n_action_steps, noise_scale, onnx=onnx)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print_line(Console(), f"{folder}: {size / 1e6:.1f} MB. nora-bench run --suite libero_object --policy {folder}")


RENAMED = {"--from": "--checkpoint", "--execute": "--n-action-steps", "--noise": "--noise-scale"}
"""Former options."""

export_checkpoint = single_command(_export_checkpoint, RENAMED)
