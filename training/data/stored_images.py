"""Images stored with third-party demonstrations: in LeRobot sets, as images or videos, and in HDF5 files."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.types import Array
from ...policies.images import model_image
from .demonstrations import DataError, Demonstration, Source, naming, read_group
from .images import ImageCache, ImageSpec
from .lerobot import LeRobotSet

ALONE = ["-protocol_whitelist", "file,pipe", "-format_whitelist", "mov,mp4,matroska,webm,avi"]
"""ffmpeg: no formats that list other files or addresses."""
AS_STORED = ["-fps_mode", "passthrough"]
"""ffmpeg: every frame once; without it frames are dropped or doubled to keep a steady rate."""
VIEWS = {"primary": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
"""nora-bench's cameras -> names of their images in LIBERO's HDF5 files."""
FINGERS = slice(8, 10)
"""Columns of LIBERO's states: time, seven joints of the arm, two fingers."""


class _StoredImages(ImageCache):
    """Images stored with the demonstrations; the cache file depends on their source, not on the actions."""

    def identity(self, demonstration: Demonstration) -> tuple[bytes, ...]:
        source = source_of(demonstration)
        return (source.entry.encode(), np.ascontiguousarray(source.rows, np.int64).tobytes())

    def finish(self, images: list[Array]) -> Array:
        """[images, size, size, 3] uint8 at the steps of the spec."""
        steps = {"jpeg": self.spec.jpeg, "filter": "lanczos3"}
        return np.stack([model_image(image, self.spec.size, steps) for image in images[:: self.spec.frame_stride]])


class LeRobotImages(_StoredImages):
    """Images of a LeRobot set, which are upright, as policies receive them."""

    def __init__(self, folder: Path, spec: ImageSpec, data: LeRobotSet, camera: str | None = None) -> None:
        """`camera` is a column; None: that of `spec.camera`. Raises DataError for an unknown camera."""
        self.data = data
        self.column = data.camera(camera or spec.camera)
        name = f"{data.folder.name}-{re.sub(r'[^A-Za-z0-9]+', '-', self.column)}-{spec.name}-{_digest(data.folder)}"
        super().__init__(folder / name, spec)

    @property
    def is_video(self) -> bool:
        """Whether the images are frames of videos."""
        return self.data.info["features"][self.column]["dtype"] == "video"

    def check(self, demonstration: Demonstration) -> None:
        """Check that the file exists and, if the metadata state it, is as long as the rows. Raises DataError."""
        path, where = self._file(demonstration)
        if not path.is_file():
            raise DataError(f"{path} not found, which has the images of {demonstration.key}. Was the set downloaded completely?")
        if self.is_video and where["from_s"] is not None and where["to_s"] is not None:
            source, seconds = source_of(demonstration), where["to_s"] - where["from_s"]
            if abs(seconds * self.data.fps - source.steps) > 0.5:
                raise DataError(
                    f"{path}: the video of episode {source.entry} takes {seconds:g} s, {seconds * self.data.fps:g} images at "
                    f"{self.data.fps:g} per second; the episode has {source.steps} rows"
                )

    def make(self, demonstration: Demonstration) -> Array:
        """Read and resize the images."""
        path, where = self._file(demonstration)
        rows = source_of(demonstration).rows
        with naming(path, "not a valid part of a LeRobot data set", (Exception,)):
            images = self._frames(path, where, demonstration) if self.is_video else self._images(path, demonstration)
            return self.finish([images[row] for row in rows])

    def _file(self, demonstration: Demonstration) -> tuple[Path, dict[str, Any]]:
        where = self.data.where(int(source_of(demonstration).entry), self.column if self.is_video else "")
        return self.data.file("video_path" if self.is_video else "data_path", where), where

    def _images(self, path: Path, demonstration: Demonstration) -> list[Array]:
        import pyarrow.parquet as parquet
        from PIL import Image

        episode = int(source_of(demonstration).entry)
        cells = parquet.read_table(path, columns=[self.column], filters=[("episode_index", "==", episode)])[
            self.column
        ].to_pylist()
        self._same(len(cells), demonstration)
        return [np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in cells]

    def _frames(self, path: Path, where: dict[str, Any], demonstration: Demonstration) -> list[Array]:
        import imageio_ffmpeg

        seek, most = [], []
        if where["from_s"] is not None:  # one of several in a file; half a frame earlier, so that rounding never drops the first
            seek = ["-ss", f"{max(0.0, where['from_s'] - 0.5 / self.data.fps):.6f}"]
            most = ["-frames:v", str(source_of(demonstration).steps)]
        reader = imageio_ffmpeg.read_frames(str(path), input_params=[*ALONE, *seek], output_params=[*AS_STORED, *most])
        width, height = next(reader)["size"]
        frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
        self._same(len(frames), demonstration)
        return frames

    def _same(self, count: int, demonstration: Demonstration) -> None:
        """Raise ValueError unless there is one image per row."""
        source = source_of(demonstration)
        if count != source.steps:
            raise ValueError(f"it has {count} images of episode {source.entry}, which has {source.steps} rows")


class Hdf5Images(_StoredImages):
    """Images in HDF5 files of LIBERO's layout, rotated as LIBERO's protocols do."""

    def __init__(self, folder: Path, spec: ImageSpec) -> None:
        """Images of `spec.camera`."""
        super().__init__(folder / f"recorded-{spec.name}", spec)

    def identity(self, demonstration: Demonstration) -> tuple[bytes, ...]:
        return (_digest(source_of(demonstration).place).encode(), *super().identity(demonstration))

    def make(self, demonstration: Demonstration) -> Array:
        """Read and resize the images."""
        source, name = source_of(demonstration), VIEWS[self.spec.camera]
        images = read_group(source.place, source.entry, f"obs/{name}")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) <= source.rows.max(initial=-1):
            raise DataError(
                f"{source.place}: {source.entry}/obs/{name} is {images.dtype} {list(images.shape)}, not images of every step"
            )
        return self.finish([np.ascontiguousarray(images[row, ::-1, ::-1]) for row in source.rows])


def source_of(demonstration: Demonstration) -> Source:
    """Source of a third-party demonstration. Raises DataError for one that nora-bench wrote, which has no images."""
    if demonstration.source is None:
        raise DataError(f"{demonstration.key} has no stored images")
    return demonstration.source


def seen_before(demonstration: Demonstration) -> bool | None:
    """Whether observations of a row (robot state, images) precede its action; None where that is undetermined.

    The simulator's states precede the action. Observations in LIBERO's own files follow it, those in files of OpenVLA's script
    precede it, and no attribute states which: the finger positions decide.
    """
    fingers, states = demonstration.robot_states[:, :2], demonstration.states[:, FINGERS]
    if len(states) < 2 or fingers.shape[1] < 2 or states.shape[1] < 2:
        return None
    before, after = np.abs(fingers[:-1] - states[:-1]).sum(), np.abs(fingers[:-1] - states[1:]).sum()
    return None if np.isclose(before, after) else bool(before < after)


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
