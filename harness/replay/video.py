"""Videos of a run's episodes, rendered by replaying their actions after the run, which they neither slow nor change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.base import Array, EnvObservation, Suite
from ...envs.errors import InputError, Interrupted, MissingRequirementError
from ...envs.safe_io import atomic_write, delete_leftovers
from ...results.comparisons.robustness import recorded_controls
from ...results.report.videos import video_path
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ...results.store.writer import safe_name
from ...results.summary import find_episode
from ..rendering.backend import find_driver
from .images import FPS, side_by_side
from .replay import ReplayError, reason, replay


@dataclass(slots=True)
class VideoSummary:
    """Videos rendered of a run."""

    folder: Path
    written: int = 0
    failed: list[str] = field(default_factory=list)
    """Episodes without a video, because the replay differs from the record or is impossible: a line each."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {"folder": str(self.folder), "written": self.written, "failed": self.failed}


def require(suite: Suite) -> None:
    """Check before a run that videos can be rendered after it. Raises MissingRequirementError."""
    if find_spec("imageio_ffmpeg") is None:
        raise MissingRequirementError("--video needs ffmpeg. Type: pip install imageio-ffmpeg   (or omit --video)")
    find_driver(suite)


def render_videos(
    run: StoredRun, which: str, note: Callable[[str], None], stop: Callable[[], bool] = lambda: False
) -> VideoSummary:
    """Render episodes of a run into its `videos` folder, in plan order, except those that have a video.

    Args:
        run: the run, as read from its folder.
        which: one of `config.VIDEO`.
        note: called with a line per episode.
        stop: checked between two episodes; True raises Interrupted.

    Raises:
        MissingRequirementError, SuiteError: the environment cannot be built or rendered here.
    """
    summary = VideoSummary(run.folder / "videos")
    due = [record for record in run.records if _selected(record, which) and not video_path(run.folder, record.key)]
    due.sort(key=lambda record: (record.suite, record.task_id, record.variant, record.init_state, record.seed))
    for number, record in enumerate(due, 1):
        if stop():
            command = f"nora-bench run --resume --out {run.folder} --video {which}"
            raise Interrupted(f"stopped after {number - 1} of {len(due)} videos. To render the others, type: {command}")
        summary.folder.mkdir(exist_ok=True)
        problem = _render(run, record, summary.folder / f"{safe_name(record.key)}.mp4")
        if problem:
            summary.failed.append(f"{record.key}: {problem}")
        else:
            summary.written += 1
        note(f"video {number}/{len(due)}: {record.key}{': ' + problem if problem else ''}")
    return summary


def _selected(record: EpisodeRecord, which: str) -> bool:
    """Whether an episode is to be rendered; episodes with errors have no actions to replay."""
    return record.success is not None and (which == "all" or (which == "failures" and not record.success))


def _render(run: StoredRun, record: EpisodeRecord, path: Path) -> str:
    """Render one episode; the problem, or an empty string. A video of a different trajectory is deleted."""
    try:
        trusted = (run.metadata.config or {}).get("suite") or ()  # just run
        control = control_images(run, record.key, trusted=trusted)
        with open_video_writer(path, FPS, control=control) as on_observation:
            result = replay(run, record.key, on_observation=on_observation, trusted=trusted)
    except (ReplayError, InputError) as error:
        return reason(error)
    if result.same:
        return ""
    path.unlink()
    return "; ".join(["the replay DIFFERS from the recorded trajectory", *result.differences])


VIDEO = (".mp4", ".mkv", ".webm", ".mov")
STRIP = 8
"""Stills in a strip, evenly spaced, first and last included."""


def control_images(run: StoredRun, key: str, *, assets: str = "", trusted: Collection[str] = ()) -> list[Array]:
    """Images of a perturbed episode's control after the reset and after every step, H x W x 3 uint8.

    Empty for an episode without a perturbation, and where neither the run nor the one in its `--control` has the control. See
    `replay` for the arguments and errors.
    """
    spec = find_episode(run, key).spec
    source = _run_of_control(run, spec.control.key) if spec.perturbation else None
    images: list[Array] = []
    if source:
        on_observation = lambda observation: images.append(side_by_side(observation))  # noqa: E731
        replay(source, spec.control.key, assets=assets, on_observation=on_observation, trusted=trusted)
    return images


def _run_of_control(run: StoredRun, key: str) -> StoredRun | None:
    """The run itself, or the one in its `--control`, if it has the episode without an error."""
    for candidate in (run, *recorded_controls(run)):
        if any(record.key == key and record.success is not None for record in candidate.records):
            return candidate
    return None


@contextmanager
def open_video_writer(path: Path, fps: float, *, control: Sequence[Array] = ()) -> Iterator[Callable[[EnvObservation], None]]:
    """A function that takes one observation after the other; the file exists once the block has ended without an error.

    Args:
        path: ends in .mp4 (or another of `VIDEO`), .gif, or .png for a strip of stills.
        fps: observations per second.
        control: images shown at the left of the observations; the last one of the shorter of both stays.

    Raises:
        InputError: another ending, or a folder that does not exist.
        MissingRequirementError: imageio-ffmpeg or Pillow is missing.
    """
    kind = path.suffix.lower()
    if kind not in (*VIDEO, ".gif", ".png"):
        raise InputError(f"--video {path}: the name must end in .mp4, .gif, or .png for a strip of stills")
    if not path.parent.is_dir():
        raise InputError(f"--video {path}: folder {path.parent} does not exist. Type: mkdir -p {path.parent}")
    delete_leftovers(path)  # a driver that crashes ends the process
    with atomic_write(path, suffix=path.suffix) as scratch, (_video if kind in VIDEO else _stills)(scratch, fps) as write:
        pair = _Paired(write, control)
        yield pair.add
        pair.finish()


class _Paired:
    """Writes images beside those of the control, if there are some."""

    def __init__(self, write: Callable[[Array], None], control: Sequence[Array]) -> None:
        self._write, self._control, self._count = write, control, 0
        self._last: Array | None = None

    def add(self, observation: EnvObservation) -> None:
        """Write the episode's next image beside the control's."""
        self._last = side_by_side(observation)
        self._next(self._last)

    def finish(self) -> None:
        """Show the rest of a longer control."""
        while self._last is not None and self._count < len(self._control):
            self._next(self._last)

    def _next(self, image: Array) -> None:
        left = [self._control[min(self._count, len(self._control) - 1)]] if self._control else []
        self._write(np.concatenate([*left, image], axis=1))
        self._count += 1


@contextmanager
def _video(path: Path, fps: float) -> Iterator[Callable[[Array], None]]:
    try:
        from imageio_ffmpeg import write_frames
    except ImportError:
        raise MissingRequirementError("videos need ffmpeg. Type: pip install imageio-ffmpeg   (or name a .gif)") from None
    writer = None

    def write(frame: Array) -> None:
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
        yield write
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _stills(path: Path, fps: float) -> Iterator[Callable[[Array], None]]:
    try:
        from PIL import Image
    except ImportError:
        raise MissingRequirementError("images need Pillow. Type: pip install Pillow") from None
    frames: list[Array] = []
    yield frames.append
    if path.suffix.lower() == ".png":
        chosen = np.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().astype(int)
        Image.fromarray(np.concatenate([frames[i] for i in chosen], axis=0)).save(path)
        return
    first, *rest = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)
