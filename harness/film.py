"""What a policy saw, as a file to look at: a video, a moving picture, or a strip of stills."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..envs.base import Array, View
from .errors import InputError, NotAble

VIDEO = (".mp4", ".mkv", ".webm", ".mov")
STRIP = 8
"""Stills in a strip, evenly spaced, first and last included."""


@contextmanager
def open_film(path: Path, fps: float) -> Iterator[Callable[[View], None]]:
    """A function that takes one view after the other; the file is there when the block has ended well.

    Args:
        path: ends in .mp4 (or another of `VIDEO`), .gif, or .png for a strip of stills.
        fps: views per second.

    Raises:
        InputError: another ending, or a folder that does not exist.
        NotAble: imageio-ffmpeg or Pillow is missing.
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


def side_by_side(view: View) -> Array:
    """All cameras of a view in one H x W x 3 uint8 picture, turned as the policy saw them."""
    return np.concatenate(list(view.images.values()), axis=1)


@contextmanager
def _video(path: Path, fps: float) -> Iterator[Callable[[Array], None]]:
    try:
        from imageio_ffmpeg import write_frames
    except ImportError:
        raise NotAble("videos need ffmpeg. Type: pip install imageio-ffmpeg   (or name a .gif)") from None
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
        raise NotAble("pictures need Pillow. Type: pip install Pillow") from None
    frames: list[Array] = []
    yield frames.append
    if path.suffix.lower() == ".png":
        chosen = np.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().astype(int)
        Image.fromarray(np.concatenate([frames[i] for i in chosen], axis=0)).save(path)
        return
    first, *rest = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)
