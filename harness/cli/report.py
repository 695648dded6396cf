"""`nora-bench report`: runs as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Trust


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    videos: Annotated[int, typer.Option(min=0, help="Videos shown at once; those of all failures can be opened.")] = 12,
    examples: Annotated[
        bool, typer.Option("--examples", help="Render images of one failure of each class without a video, by replaying it.")
    ] = False,
    trust: Trust = None,
    max_video_mb: Annotated[float, typer.Option(min=0, help="Embed videos up to this total size in MB.")] = 100,
) -> None:
    """Write one self-contained page: results, tasks, success over steps, failures, times, comparison, videos, provenance.

    Example: `nora-bench report runs/libero-nora runs/libero-nora-1.5 --out report.html`

    Videos are read from the runs' `videos` folders, images of failures from `examples`, where --examples keeps them. The page
    opens offline and contacts no server.
    """
    from ...results.report.page import page
    from ...results.store.reader import read_run
    from .output import say

    runs = [read_run(folder) for folder in folders]
    for run in runs if examples else ():
        from ..replay.failures import write_examples

        write_examples(run, trusted=trust or (), note=say)
    text = page(runs, sample=videos, megabytes=max_video_mb)
    out.write_text(text, encoding="utf-8")
    say(f"{out} ({len(text.encode()) / 2**20:.1f} MiB)")
