"""`nora-bench new`: the beginning of a plug-in."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    """What can be begun."""

    policy = "policy"
    suite = "suite"


def new(
    kind: Annotated[Kind, typer.Argument(metavar="|".join(Kind), help="What to begin.")],
    name: Annotated[str, typer.Argument(help="Its name, for --policy or --suite; also that of its package.")],
    out: Annotated[Path | None, typer.Option(help="New folder for it; ./NAME by default.")] = None,
) -> None:
    """Write a small package with an entry point and a test: a policy or a suite that others can install.

    Example: `nora-bench new policy my-policy`
    """
    from ...envs import suites
    from ...policies.registry import POLICIES
    from ..errors import InputError
    from ..templates import write

    taken = POLICIES.names() if kind is Kind.policy else (*suites.names(), *suites.GROUPS)
    if name in taken:
        raise InputError(f"there is a {kind} {name} already; all of them: {', '.join(taken)}")
    folder = out or Path(name)
    for path in write(kind, name, folder):
        print(path)
    print(f"Next: pip install -e {shlex.quote(str(folder))} && pytest {shlex.quote(str(folder))}")
