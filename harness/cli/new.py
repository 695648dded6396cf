"""`nora-bench new`: create a plug-in package from a template."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer


def new(
    kind: Annotated[Literal["policy", "suite"], typer.Argument(metavar="policy|suite", help="Kind of plug-in.")],
    name: Annotated[str, typer.Argument(help="Name for --policy or --suite, and of the package.")],
    out: Annotated[Path | None, typer.Option(help="New folder.", show_default="./NAME")] = None,
) -> None:
    """Create an installable package with a policy or a suite, an entry point and a test.

    Example: `nora-bench new policy my-policy`
    """
    from ...envs import suites
    from ...envs.errors import InputError
    from ...policies.registry import POLICIES
    from ..templates import write

    taken = POLICIES.names() if kind == "policy" else (*suites.names(), *suites.GROUPS)
    if name in taken:
        raise InputError(f"{kind} {name} exists already; taken names: {', '.join(taken)}", option="NAME", value=name)
    folder = out or Path(name)
    for path in write(kind, name, folder):
        print(path)
    print(f"Next: pip install -e {shlex.quote(str(folder))} && pytest {shlex.quote(str(folder))}")
