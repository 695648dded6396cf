"""`nora-bench failures`: classes of a run's failures, and strips of images to label them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Trust


def failures(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    replay: Annotated[bool, typer.Option("--replay", help="Replay failures that were recorded without features.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write strips of images and labels.csv here, without the classes.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Failures on the sheet, sampled at random.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of that sample.")] = 0,
    assets: Annotated[str, typer.Option(help="Pack or folder to render with.", show_default="the run's")] = "",
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Classify a run's failures by rules: never reached, grasped and lost, released beside ...

    Example: `nora-bench failures runs/libero-nora --replay`

    Runs recorded before the classes existed need `--replay` once: it replays the stored actions and keeps the result in the
    run's folder.
    See docs/guide/failures.md.
    """
    from ...results.failures.classify import summary
    from ...results.store.reader import read_run
    from ..replay.failures import add_features, write_sheet
    from .output import emit, say

    run, trusted = read_run(folder), trust or ()
    problems: list[str] = []

    def note(line: str) -> None:
        if not as_json:
            print(line, flush=True)

    if sheet is not None:
        shown = write_sheet(run, sheet, count=count, seed=seed, assets=assets, trusted=trusted, note=note)
        say(f"{sheet}: {shown} strips of images and labels.csv")
        return
    if replay:
        problems = add_features(run, assets=assets, trusted=trusted, note=note)
    emit(as_json, {**summary(run), "problems": problems}, _print)
    if problems:
        raise typer.Exit(1)


def _print(found: Mapping[str, Any]) -> None:
    from .output import say
    from .verdicts import class_lines

    say(class_lines(found))
    say([f"not classified: {problem}" for problem in found["problems"]])
