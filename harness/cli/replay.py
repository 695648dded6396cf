"""`nora-bench replay`: is a stored episode what its record says, and what did it look like?"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..replay.replay import Verdict


def replay(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the episode, as `nora-bench show RUN` prints it.")],
    video: Annotated[Path | None, typer.Option(help="Write what the cameras see: .mp4, .gif, or .png for stills.")] = None,
    assets: Annotated[str, typer.Option(help="Pack or folder to draw with.", show_default="the run's")] = "",
    fps: Annotated[float, typer.Option(min=0.1, help="Steps shown per second; a LIBERO step is 1/20 s.")] = 20.0,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:NAME", envvar="NORA_BENCH_TRUST", help="A suite of the run that may be imported."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Play a stored episode again from its actions and check that every state is the recorded one.

    Example: `nora-bench replay runs/libero-random 'libero_goal/task3/init0/seed0@libero/openvla' --video episode.mp4`

    Ends with 0 where the trajectory is the recorded one to the bit, 1 where it is not.
    """
    from ...results.store.reader import read_run
    from ..replay.replay import replay as play
    from ..replay.video import open_film

    run = read_run(folder)
    with open_film(video, fps) if video else nullcontext() as show:
        verdict = play(run, key, assets=assets, show=show, trusted=trust or ())
    if as_json:
        print(json.dumps({**verdict.to_json(), "video": str(video) if video else None}))
    else:
        _print(verdict, video)
    if not verdict.same:
        raise typer.Exit(1)


def _print(verdict: Verdict, video: Path | None) -> None:
    print(f"{verdict.key}: {verdict.steps} steps, {'success' if verdict.success else 'no success'}")
    if verdict.same:
        print(f"the trajectory is the recorded one, to the bit ({verdict.replayed_sha256[:16]})")
    else:
        print(f"NOT the recorded trajectory: {verdict.replayed_sha256[:16]}, recorded {str(verdict.recorded_sha256)[:16]}")
    for difference in verdict.differences:
        print(f"  {difference}")
    if video:
        print(f"video: {video}")
