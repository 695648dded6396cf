"""`nora-bench selfcheck`: check that this installation gives correct results."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def selfcheck(
    suite: Annotated[str, typer.Option(help="libero or simpler.", show_default="all installed")] = "",
    assets: Annotated[str, typer.Option(envvar="NORA_BENCH_ASSETS", help="auto, official, standin or a folder.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per check on stdout.")] = False,
) -> None:
    """Replay recordings, run the scripted expert and the zero policy, compare one worker with two.

    Example: `nora-bench selfcheck --suite simpler --assets standin`

    Takes a few minutes on two cores. Exit code 1 where any check fails.
    """
    from ..selfcheck import families, selfcheck as check

    outcomes = []
    with tempfile.TemporaryDirectory(prefix="nora-bench-selfcheck-") as scratch:
        for family in families(suite):
            for outcome in check(family, assets, Path(scratch) / family.name):
                outcomes.append(outcome)
                line = f"{'ok  ' if outcome.passed else 'FAIL'}  {outcome.name}: {outcome.detail}  ({outcome.seconds:g} s)"
                print(json.dumps(asdict(outcome)) if as_json else line, flush=True)
    if not all(outcome.passed for outcome in outcomes):
        if not as_json:
            print("This installation gives wrong results. Type: nora-bench doctor")
        raise typer.Exit(1)
    if not as_json:
        print("This installation gives correct results.")
