"""`nora-bench replay`: replay a stored episode, verify it, render its video."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Trust

if TYPE_CHECKING:
    from ..replay.replay import ReplayResult


def replay(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the episode, as `nora-bench show RUN` prints it.")],
    video: Annotated[
        Path | None,
        typer.Option(
            help="Write the cameras' images, right of the control's for a perturbed episode: .mp4, .gif, or .png for stills."
        ),
    ] = None,
    assets: Annotated[str, typer.Option(help="Pack or folder to render with.", show_default="the run's")] = "",
    fps: Annotated[float, typer.Option(min=0.1, help="Steps shown per second; a LIBERO step is 1/20 s.")] = 20.0,
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Replay a stored episode from its actions and check that every state is the recorded one.

    Example: `nora-bench replay runs/libero-random 'libero_goal/task3/init0/seed0@libero/openvla' --video episode.mp4`

    Exit code 0 where the trajectory is bit-identical to the recorded one, 1 where it differs.
    """
    from ...results.store.reader import read_run
    from ..replay.replay import replay as replay_episode
    from ..replay.video import control_images, open_video_writer

    run = read_run(folder)
    control = control_images(run, key, assets=assets, trusted=trust or ()) if video else ()
    with open_video_writer(video, fps, control=control) if video else nullcontext() as on_observation:
        result = replay_episode(run, key, assets=assets, on_observation=on_observation, trusted=trust or ())
    if as_json:
        print(json.dumps({**result.to_json(), "video": str(video) if video else None}))
    else:
        _print(result, video)
    if not result.same:
        raise typer.Exit(1)


def _print(result: ReplayResult, video: Path | None) -> None:
    print(f"{result.key}: {result.steps} steps, {'success' if result.success else 'no success'}")
    if result.same:
        print(f"the trajectory is bit-identical to the recorded one ({result.replayed_sha256[:16]})")
    else:
        print(f"the trajectory DIFFERS: {result.replayed_sha256[:16]}, recorded {str(result.recorded_sha256)[:16]}")
    for difference in result.differences:
        print(f"  {difference}")
    if video:
        print(f"video: {video}")
