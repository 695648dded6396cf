"""Videos of a run's episodes, made when it is over by replaying their actions: filming neither slows nor changes a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..envs.base import Suite, WorldError
from ..results.films import film_path
from ..results.reading import Run
from ..results.records import EpisodeRecord
from ..results.store import safe_name
from .drawing import find_driver
from .errors import InputError, Interrupted, NotAble
from .film import open_film
from .replay import replay

FPS = 20.0
"""Control steps shown per second; those of LIBERO are 1/20 s."""


@dataclass(slots=True)
class Filmed:
    """What came of filming a run."""

    folder: Path
    written: int = 0
    wrong: list[str] = field(default_factory=list)
    """Episodes whose replay was not the recorded one, or not possible: a line each. They have no video."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {"folder": str(self.folder), "written": self.written, "wrong": self.wrong}


def require(suite: Suite) -> None:
    """Raises NotAble where videos cannot be made here; asked before a run and not after it."""
    if find_spec("imageio_ffmpeg") is None:
        raise NotAble("--video needs ffmpeg. Type: pip install imageio-ffmpeg   (or leave --video away)")
    find_driver(suite)


def film_run(run: Run, which: str, note: Callable[[str], None], stop: Callable[[], bool] = lambda: False) -> Filmed:
    """Film episodes of a run into its `videos` folder, those that have a video left out, in the order of the plan.

    Args:
        run: the run, as read from its folder.
        which: one of `config.VIDEO`.
        note: called with a line per episode.
        stop: Interrupted is raised between two episodes where it says so.

    Raises:
        NotAble, SuiteError: the world cannot be built or drawn here.
    """
    filmed = Filmed(run.folder / "videos")
    due = [record for record in run.records if _wanted(record, which) and not film_path(run.folder, record.key)]
    due.sort(key=lambda record: (record.suite, record.task_id, record.variant, record.init_state, record.seed))
    for number, record in enumerate(due, 1):
        if stop():
            raise Interrupted(f"stopped after {number - 1} of {len(due)} videos")
        filmed.folder.mkdir(exist_ok=True)
        wrong = _film(run, record, filmed.folder / f"{safe_name(record.key)}.mp4")
        if wrong:
            filmed.wrong.append(f"{record.key}: {wrong}")
        else:
            filmed.written += 1
        note(f"video {number}/{len(due)}: {record.key}{': ' + wrong if wrong else ''}")
    return filmed


def _wanted(record: EpisodeRecord, which: str) -> bool:
    """Errors have no actions to be replayed."""
    return record.success is not None and (which == "all" or (which == "failures" and not record.success))


def _film(run: Run, record: EpisodeRecord, path: Path) -> str:
    """Film one episode; what is wrong with it, where something is. A film of something else than the record is not kept."""
    try:
        with open_film(path, FPS) as show:
            verdict = replay(run, record.key, show=show, trusted=run.run["config"]["suite"])  # just played
    except (InputError, WorldError) as error:
        return str(error)
    if verdict.same:
        return ""
    path.unlink()
    return "; ".join(["its replay is NOT the recorded trajectory", *verdict.differences])
