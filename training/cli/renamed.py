"""Former names of options and verbs: using one ends with an error that gives the new name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from ...envs.errors import InputError
from ...harness.cli import STYLE


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
