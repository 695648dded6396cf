"""`nora-bench doctor`: what this machine lacks, and what mends it."""

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
    from ..diagnostics.doctor import Finding


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Run the commands that are safe (pip; apt-get as root), look again.")
    ] = False,
    python: Annotated[list[str] | None, typer.Option(help="family=/path/to/python of a run: look at it too.")] = None,
    out: Annotated[Path, typer.Option(help="Where runs will be written.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Check this machine for LIBERO and SimplerEnv: Python, packages, OpenGL, Vulkan, GPU, assets, hub, disk, memory.

    Example: `nora-bench doctor --fix`

    Ends with 0 where the suites whose extras are installed can be played (notes are no problems), 3 where they cannot.
    """
    from ..diagnostics.doctor import Status, worst

    pythons = _pythons(python or [])
    findings = _examine(out, pythons, quiet=as_json or fix)
    done: list[list[str]] = []
    while fix and _mend(findings, done):
        findings = _examine(out, pythons, quiet=True)
    if as_json:
        print(json.dumps({"status": worst(findings), "findings": [finding.to_json() for finding in findings]}, indent=2))
    elif fix:
        for finding in findings:
            _print(finding)
    if worst(findings) is Status.problem:
        raise typer.Exit(3)


def _pythons(given: list[str]) -> dict[str, str]:
    """Family -> interpreter. Raises InputError."""
    from ..config import arguments
    from ..errors import InputError

    try:
        found = arguments(given)
    except ValueError as error:
        raise InputError(f"--python: {error}") from None
    if unknown := set(found) - {"simpler"}:
        raise InputError(f"--python {min(unknown)}=...: only simpler has a backend with an interpreter of its own")
    return found


def _examine(out: Path, pythons: Mapping[str, str], *, quiet: bool) -> list[Finding]:
    from ..diagnostics.doctor import examine
    from ..diagnostics.upstream import examine_upstream

    findings = []
    upstream = examine_upstream(pythons["simpler"]) if "simpler" in pythons else ()
    for finding in chain(examine(out), upstream):
        findings.append(finding)
        if not quiet:
            _print(finding)
    return findings


def _mend(findings: list[Finding], done: list[list[str]]) -> bool:
    """Run what is safe and was not run before; whether anything was. OpenGL can only be tried once MuJoCo is there."""
    from ..diagnostics import checks

    cures = [finding.cure for finding in findings if not checks.refusal(finding.cure)]
    todo = [command for command in checks.commands(cures) if command not in done]
    for command in todo:
        print(f"$ {shlex.join(command)}", file=sys.stderr)
        if wrong := checks.run(command):
            print(f"nora-bench: that did not work ({wrong})", file=sys.stderr)
    done += todo
    return bool(todo)


def _print(finding: Finding) -> None:
    from rich.console import Console
    from rich.text import Text

    from ..diagnostics.disk import printable
    from ..diagnostics.doctor import Status

    marks = {Status.ok: ("✓", "+", "green"), Status.note: ("!", "!", "yellow"), Status.problem: ("✗", "x", "red")}
    mark, plain, style = marks[finding.status]
    mark = mark if printable(mark) else plain
    text = Text.assemble((mark, style), f" {finding.name:18} {finding.found}")
    if finding.why:
        text.append(f"\n    why: {finding.why}")
    if finding.cure.command:
        text.append(f"\n    type: {finding.cure.command}", "bold")
    Console(soft_wrap=True).print(text)
