"""Options, output and former names that the training verbs share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from ...envs.errors import InputError
from ...harness.cli import STYLE
from ..data.conventions import Gripper

if TYPE_CHECKING:
    from ..engine.trainer import ProgressCallback


DataOption = Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations, HDF5, LeRobot or RLDS; repeatable.")]
GripperOption = Annotated[
    Gripper | None,
    typer.Option("--gripper", help="Meaning of 1 in third-party data sets.", show_default="inferred from the values"),
]
CameraOption = Annotated[
    str | None, typer.Option("--camera", help="LeRobot and RLDS sets: name of the main camera.", show_default="found by name")
]
EpisodesOption = Annotated[int | None, typer.Option("--episodes", min=1, help="Demonstrations per task.", show_default="all")]
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


def is_main_process() -> bool:
    """Whether this process prints: the first of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


def print_line(console: Console, line: str) -> None:
    """Print a line without markup and line breaks, on the main process."""
    if is_main_process():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_plan(console: Console, **lines: object) -> None:
    """Print the plan of a command: names, right-aligned, and their values."""
    for name, text in lines.items():
        print_line(console, f"{name.replace('_', ' '):>15}  {text}")


def progress_callback(console: Console, names: tuple[str, ...]) -> ProgressCallback:
    """A progress callback of the trainer that prints the named metrics."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        metrics = "  ".join(f"{name} {numbers[name]:.4f}" for name in names if name in numbers)
        print_line(console, f"{step:>8}  {metrics}")

    return report


def renamed_options(table: Mapping[str, str]) -> type[TyperCommand]:
    """A command class that rejects former options; `table` maps them to their new names."""

    class Command(TyperCommand):
        """Rejects former options."""

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            """Raises InputError for a former option."""
            for argument in args:
                name = argument.partition("=")[0]
                if name in table:
                    raise InputError(f"{name} is now {table[name]}", option=name)
            return super().parse_args(ctx, args)

    return Command


def single_command(function: Callable[..., None], renamed: Mapping[str, str] | None = None) -> typer.Typer:
    """An application of one command, with the former names of its options."""
    app = typer.Typer(add_completion=False, **STYLE)
    app.command(function.__name__.replace("_", "-"), cls=renamed_options(renamed or {}))(function)
    return app


class RenamedVerbs(TyperGroup):
    """A group that rejects former subcommands."""

    renamed: ClassVar[Mapping[str, str]] = {}
    """Former subcommand -> the command to type."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Raises InputError for a former subcommand."""
        if args and args[0] in self.renamed:
            raise InputError(f"`{ctx.info_name} {args[0]}` is now `nora-bench {self.renamed[args[0]]}`", value=args[0])
        return super().resolve_command(ctx, args)
