"""`nora-bench selfcheck`: does this installation give right numbers?"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer


def selfcheck(
    suite: Annotated[str, typer.Option(help="libero or simpler; all that are installed where not said.")] = "",
    assets: Annotated[str, typer.Option(envvar="NORA_BENCH_ASSETS", help="auto, official, standin or a folder.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per check on stdout.")] = False,
) -> None:
    """Replay recordings, let the scripted expert win and the zero policy lose, compare one worker with two.

    Example: `nora-bench selfcheck --suite simpler --assets standin`

    Takes a few minutes on two cores. Ends with exit code 1 where any check fails.
    """
    from ..selfcheck import selfcheck as check, subjects

    verdicts = []
    with tempfile.TemporaryDirectory(prefix="nora-bench-selfcheck-") as scratch:
        for subject in subjects(suite):
            for verdict in check(subject, assets, Path(scratch) / subject.family):
                verdicts.append(verdict)
                line = f"{'ok  ' if verdict.passed else 'FAIL'}  {verdict.name}: {verdict.detail}  ({verdict.seconds:g} s)"
                print(json.dumps(verdict.to_json()) if as_json else line, flush=True)
    if not all(verdict.passed for verdict in verdicts):
        if not as_json:
            print("This installation does not give right numbers. Type: nora-bench doctor")
        raise typer.Exit(1)
    if not as_json:
        print("This installation gives right numbers.")
