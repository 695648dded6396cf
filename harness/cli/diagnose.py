"""`nora-bench diagnose`: which convention of a policy's setup is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..conventions.report import Report


def diagnose(
    suite: Annotated[str, typer.Option(help="Suite whose expert the policy is compared with.")],
    policy: Annotated[str, typer.Option(help="Name, checkpoint, module:Class, file.py:Class or address.")] = "nora-1.5-nano",
    policy_arg: Annotated[list[str] | None, typer.Option(help="Argument name=value of the policy; repeatable.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Evaluation protocol.", show_default="the suite's own")] = None,
    assets: Annotated[str, typer.Option(envvar="NORA_BENCH_ASSETS", help="auto, official, standin or a folder.")] = "auto",
    backend: Annotated[str | None, typer.Option(help="Backend of the suite.", show_default="its first")] = None,
    workers: Annotated[str, typer.Option(help="Worker processes, or auto.")] = "auto",
    confirm: Annotated[int, typer.Option(help="Episodes to run with and without the best correction, 0 to 20.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout; all else on stderr.")] = False,
) -> None:
    """Find the convention (image orientation, gripper, statistics, prompt ...) that makes a policy fail.

    Example: `nora-bench diagnose --policy ws://127.0.0.1:8000 --suite libero_object`

    Queries the policy at moments of the scripted expert's episodes, at most 2,000 times, once for each hypothesis. Exit code 0:
    nothing found; 1: a fault is named, or the policy resembles the expert under no hypothesis.
    """
    from rich.console import Console

    from ..config import parse
    from ..conventions.diagnose import examine, prepare
    from ..conventions.diagnosis import NOTHING
    from ..conventions.episodes import run_episodes
    from ..conventions.report import Request
    from .bar import counting
    from .output import emit

    console = Console(stderr=True)
    given = parse({"suite": [suite], "policy": policy, "policy_arg": policy_arg or None}).policy_arg
    request = Request(policy, given, suite, protocol, assets, workers, backend, confirm)
    report = examine(prepare(request), run_episodes, lambda label, total: counting(console, label, total))
    emit(as_json, report, _print)
    if report.diagnosis.verdict != NOTHING:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    from ..conventions.report import lines
    from .output import say

    say(lines(report))
