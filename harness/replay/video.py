"""Videos of a run's episodes, made when it is over by replaying their actions: filming neither slows nor changes a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.base import Array, EnvObservation, SimulationError, Suite
from ...results.report.videos import video_path
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ...results.store.writer import safe_name
from ..errors import InputError, Interrupted, MissingRequirementError
from ..rendering.backend import find_driver
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
    """Raises MissingRequirementError where videos cannot be made here; asked before a run and not after it."""
    if find_spec("imageio_ffmpeg") is None:
        raise MissingRequirementError("--video needs ffmpeg. Type: pip install imageio-ffmpeg   (or leave --video away)")
    find_driver(suite)


def film_run(run: StoredRun, which: str, note: Callable[[str], None], stop: Callable[[], bool] = lambda: False) -> Filmed:
    """Film episodes of a run into its `videos` folder, those that have a video left out, in the order of the plan.

    Args:
        run: the run, as read from its folder.
        which: one of `config.VIDEO`.
        note: called with a line per episode.
        stop: Interrupted is raised between two episodes where it says so.

    Raises:
        MissingRequirementError, SuiteError: the world cannot be built or drawn here.
    """
    filmed = Filmed(run.folder / "videos")
    due = [record for record in run.records if _wanted(record, which) and not video_path(run.folder, record.key)]
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


def _film(run: StoredRun, record: EpisodeRecord, path: Path) -> str:
    """Film one episode; what is wrong with it, where something is. A film of something else than the record is not kept."""
    try:
        with open_film(path, FPS) as show:
            verdict = replay(run, record.key, show=show, trusted=(run.metadata.config or {}).get("suite") or ())  # just run
    except (InputError, SimulationError) as error:
        return str(error)
    if verdict.same:
        return ""
    path.unlink()
    return "; ".join(["its replay is NOT the recorded trajectory", *verdict.differences])


VIDEO = (".mp4", ".mkv", ".webm", ".mov")
STRIP = 8
"""Stills in a strip, evenly spaced, first and last included."""


@contextmanager
def open_film(path: Path, fps: float) -> Iterator[Callable[[EnvObservation], None]]:
    """A function that takes one view after the other; the file is there when the block has ended well.

    Args:
        path: ends in .mp4 (or another of `VIDEO`), .gif, or .png for a strip of stills.
        fps: views per second.

    Raises:
        InputError: another ending, or a folder that does not exist.
        MissingRequirementError: imageio-ffmpeg or Pillow is missing.
    """
    kind = path.suffix.lower()
    if kind not in (*VIDEO, ".gif", ".png"):
        raise InputError(f"--video {path}: the name must end in .mp4, .gif, or .png for a strip of stills")
    if not path.parent.is_dir():
        raise InputError(f"--video {path}: there is no folder {path.parent}")
    scratch = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with (_video if kind in VIDEO else _stills)(scratch, fps) as take:
            yield lambda view: take(side_by_side(view))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def side_by_side(view: EnvObservation) -> Array:
    """All cameras of a view in one H x W x 3 uint8 picture, turned as the policy saw them."""
    return np.concatenate(list(view.images.values()), axis=1)


@contextmanager
def _video(path: Path, fps: float) -> Iterator[Callable[[Array], None]]:
    try:
        from imageio_ffmpeg import write_frames
    except ImportError:
        raise MissingRequirementError("videos need ffmpeg. Type: pip install imageio-ffmpeg   (or name a .gif)") from None
    writer = None

    def take(frame: Array) -> None:
        nonlocal writer
        if writer is None:
            size = (frame.shape[1], frame.shape[0])
            writer = write_frames(
                str(path),
                size,
                fps=fps,  # pyright: ignore[reportArgumentType]  fractions are fine
                quality=8,
                macro_block_size=2,
                ffmpeg_log_level="error",
            )
            writer.send(None)
        writer.send(np.ascontiguousarray(frame))

    try:
        yield take
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _stills(path: Path, fps: float) -> Iterator[Callable[[Array], None]]:
    try:
        from PIL import Image
    except ImportError:
        raise MissingRequirementError("pictures need Pillow. Type: pip install Pillow") from None
    frames: list[Array] = []
    yield frames.append
    if path.suffix.lower() == ".png":
        chosen = np.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().astype(int)
        Image.fromarray(np.concatenate([frames[i] for i in chosen], axis=0)).save(path)
        return
    first, *rest = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)
