"""Options that several training verbs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..data.conventions import Gripper

DataOption = Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations, HDF5 or LeRobot; repeatable.")]
GripperOption = Annotated[
    Gripper | None,
    typer.Option("--gripper", help="Meaning of 1 in third-party data sets.", show_default="inferred from the values"),
]
CameraOption = Annotated[
    str | None, typer.Option("--camera", help="LeRobot sets: column of the main camera.", show_default="found by name")
]
FramesOption = Annotated[Path, typer.Option("--frames", help="Image cache of `nora-bench data render`.")]
LatentsOption = Annotated[Path, typer.Option("--latents", help="Cache of encoded frames.")]
AssetsOption = Annotated[
    str,
    typer.Option("--assets", help="Assets that images are rendered with; several, like official,standin, share the episodes."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Worker processes.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Override a field of the recipe, such as loop.learning_rate=1e-4; repeatable.",
        show_default=False,
    ),
]
StepsOption = Annotated[
    int | None, typer.Option("--steps", min=1, help="Same as --set loop.steps=.", show_default="the recipe's")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Same as --set loop.seed=.", show_default="the recipe's")]
LearningRateOption = Annotated[
    float | None, typer.Option("--learning-rate", help="Same as --set loop.learning_rate=.", show_default="the recipe's")
]


def overrides(assignments: Sequence[str] | None, shorthands: Mapping[str, object]) -> dict[str, str]:
    """Recipe field -> value as typed, of `--set` options and of the options that abbreviate one. Raises TrainingError."""
    from ..engine.config import parse_overrides

    given = {name: str(value) for name, value in shorthands.items() if value is not None}
    return {**given, **parse_overrides(assignments or ())}
