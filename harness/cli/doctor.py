"""`nora-bench doctor`: check this machine and print a fix for each problem."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..diagnostics.checks import CheckResult


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Apply the safe fixes (pip; apt-get as root), then check again.")] = False,
    assets: Annotated[
        bool, typer.Option("--assets", help="With --fix: also download LIBERO's official assets (357 MB).")
    ] = False,
    simpler: Annotated[
        bool, typer.Option("--simpler", help="With --fix: also make the interpreter of SimplerEnv's backend sapien2 (200 MB).")
    ] = False,
    python: Annotated[list[str] | None, typer.Option(help="family=/path/to/python of a run: check it too.")] = None,
    out: Annotated[Path, typer.Option(help="Where runs will be written.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Check this machine for LIBERO and SimplerEnv: Python, packages, OpenGL, Vulkan, GPU, assets, hub, disk, memory.

    Example: `nora-bench doctor --fix`

    Exit code 0 where the suites whose extras are installed can be run (notes are no problems), else 3.
    """
    from ...envs.errors import InputError
    from ..diagnostics.checks import Status
    from ..diagnostics.doctor import worst

    if assets and not fix:
        raise InputError(
            "--assets is for --fix. Type: nora-bench doctor --fix --assets, or nora-bench assets fetch", option="--assets"
        )
    if simpler and not fix:
        raise InputError("--simpler is for --fix. Type: nora-bench doctor --fix --simpler", option="--simpler")
    pythons = _pythons(python or [])
    results = _examine(out, pythons, quiet=as_json or fix)
    commands_run: list[list[str]] = []
    while fix and _apply_fixes(results, commands_run, assets=assets, simpler=simpler):
        results = _examine(out, pythons, quiet=True)
    if as_json:
        print(json.dumps({"status": worst(results), "checks": [result.to_json() for result in results]}, indent=2))
    elif fix:
        for result in results:
            _print(result)
    if worst(results) is Status.problem:
        raise typer.Exit(3)


def _pythons(given: list[str]) -> dict[str, str]:
    """Family -> interpreter. Raises InputError."""
    from ...envs.errors import InputError
    from ..config import arguments

    try:
        pythons = arguments(given)
    except ValueError as error:
        raise InputError(f"--python: {error}", option="--python", value=given) from None
    if unknown := set(pythons) - {"simpler"}:
        raise InputError(f"--python {min(unknown)}=...: only simpler has a backend with its own interpreter", option="--python")
    return pythons


def _examine(out: Path, pythons: Mapping[str, str], *, quiet: bool) -> list[CheckResult]:
    from ..diagnostics.doctor import examine
    from ..diagnostics.upstream import examine_upstream

    results = []
    upstream = examine_upstream(pythons["simpler"]) if "simpler" in pythons else ()
    for result in chain(examine(out), upstream):
        results.append(result)
        if not quiet:
            _print(result)
    return results


def _apply_fixes(results: list[CheckResult], commands_run: list[list[str]], *, assets: bool, simpler: bool) -> bool:
    """Run the safe commands that were not run before; whether any was. OpenGL can be checked only once MuJoCo is installed."""
    from ..diagnostics import checks

    fixes = [result.fix for result in results if not checks.reason_not_run(result.fix, assets=assets, simpler=simpler)]
    todo = [command for command in checks.commands(fixes, assets=assets, simpler=simpler) if command not in commands_run]
    for command in todo:
        print(f"$ {shlex.join(command)}", file=sys.stderr)
        if problem := checks.run(command):
            print(f"nora-bench: the command failed ({problem})", file=sys.stderr)
    commands_run += todo
    return bool(todo)


def _print(result: CheckResult) -> None:
    from rich.console import Console
    from rich.text import Text

    from ..diagnostics.checks import Status
    from ..diagnostics.disk import printable

    marks = {Status.ok: ("✓", "+", "green"), Status.note: ("!", "!", "yellow"), Status.problem: ("✗", "x", "red")}
    mark, plain, style = marks[result.status]
    mark = mark if printable(mark) else plain
    text = Text.assemble((mark, style), f" {result.name:18} {result.observed}")
    if result.reason:
        text.append(f"\n    reason: {result.reason}")
    if result.fix.command:
        text.append(f"\n    type: {result.fix.command}", "bold")
    Console(soft_wrap=True).print(text)
