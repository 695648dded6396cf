"""Images stored with third-party demonstrations: in LeRobot sets, as images or videos, in RLDS sets, and in HDF5 files."""

from __future__ import annotations

import hashlib
import io
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.types import Array
from ...policies.images import model_image
from .demonstrations import DataError, Demonstration, Source, naming, read_group
from .images import ImageCache, ImageSpec
from .lerobot import LeRobotSet
from .rlds import RldsSet

ALONE = {"protocol_whitelist": "file", "format_whitelist": "mov,mp4,matroska,webm,avi"}
"""ffmpeg: no formats that list other files or addresses."""
VIEWS = {"primary": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
"""nora-bench's cameras -> names of their images in LIBERO's HDF5 files."""
FINGERS = slice(8, 10)
"""Columns of LIBERO's states: time, seven joints of the arm, two fingers."""


class _StoredImages(ImageCache):
    """Images stored with the demonstrations; the cache file depends on their source, not on the actions."""

    def identity(self, demonstration: Demonstration) -> tuple[bytes, ...]:
        source = source_of(demonstration)
        return (source.entry.encode(), np.ascontiguousarray(source.rows, np.int64).tobytes())

    @abstractmethod
    def read(self, demonstration: Demonstration, rows: Array) -> list[Array]:
        """The images [height, width, 3] uint8 of those rows of its source, which ascend. Raises DataError."""

    def make(self, demonstration: Demonstration) -> Array:
        """Read and resize the images of the spec's steps."""
        return np.stack([*map(self.finish, self.read(demonstration, self._rows(demonstration)))])

    def one(self, demonstration: Demonstration, index: int) -> Array:
        """[size, size, 3] uint8: one of the images that `make` gives, without the others."""
        return self.finish(self.read(demonstration, self._rows(demonstration)[index : index + 1])[0])

    def finish(self, image: Array) -> Array:
        """[size, size, 3] uint8, as in an evaluation."""
        return model_image(image, self.spec.size, {"jpeg": self.spec.jpeg, "filter": "lanczos3"})

    def _rows(self, demonstration: Demonstration) -> Array:
        return source_of(demonstration).rows[:: self.spec.frame_stride]


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

    def read(self, demonstration: Demonstration, rows: Array) -> list[Array]:
        path, where = self._file(demonstration)
        with naming(path, "not a valid part of a LeRobot data set", (Exception,)):
            return self._frames(path, where, demonstration, rows) if self.is_video else self._images(path, demonstration, rows)

    def _file(self, demonstration: Demonstration) -> tuple[Path, dict[str, Any]]:
        where = self.data.where(int(source_of(demonstration).entry), self.column if self.is_video else "")
        return self.data.file("video_path" if self.is_video else "data_path", where), where

    def _images(self, path: Path, demonstration: Demonstration, rows: Array) -> list[Array]:
        import pyarrow.parquet as parquet

        episode = int(source_of(demonstration).entry)
        cells = parquet.read_table(path, columns=[self.column], filters=[("episode_index", "==", episode)])[self.column]
        self._same(len(cells), demonstration)
        return [decoded(cell["bytes"]) for cell in cells.take(rows).to_pylist()]

    def _frames(self, path: Path, where: dict[str, Any], demonstration: Demonstration, rows: Array) -> list[Array]:
        import av

        period, frames = 1.0 / self.data.fps, list[Array]()
        begin, whole = where["from_s"] or 0.0, where["from_s"] is None
        with av.open(str(path), options=ALONE) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # a thread per core costs more than a few small frames
            if whole and stream.frames:
                self._same(stream.frames, demonstration)
            row, wanted = int(rows[0]), set(rows.tolist())
            for frame in _frames_after(container, stream, begin + (row - 0.5) * period):
                if row in wanted:
                    frames.append(frame.to_ndarray(format="rgb24", interpolation="BICUBIC"))
                row += 1
                if row > rows[-1] and (stream.frames or not whole):
                    break
        if len(frames) < len(rows) or row > source_of(demonstration).steps:
            self._same(row, demonstration)
        return frames

    def _same(self, count: int, demonstration: Demonstration) -> None:
        """Raise ValueError unless there is one image per row."""
        source = source_of(demonstration)
        if count != source.steps:
            raise ValueError(f"it has {count} images of episode {source.entry}, which has {source.steps} rows")


class RldsImages(_StoredImages):
    """Images of an RLDS set, which are upright, as policies receive them."""

    def __init__(self, folder: Path, spec: ImageSpec, data: RldsSet, camera: str | None = None) -> None:
        """`camera` is a name under `steps/observation`; None: that of `spec.camera`. Raises DataError for an unknown camera."""
        self.data, self.feature = data, data.camera(camera or spec.camera)
        name = f"{data.suite}-{self.feature.rpartition('/')[2]}-{spec.name}-{_digest(data.folder)}"
        super().__init__(folder / name, spec)

    def check(self, demonstration: Demonstration) -> None:
        """Nothing: images and actions are in one record, which has been read."""

    def read(self, demonstration: Demonstration, rows: Array) -> list[Array]:
        source = source_of(demonstration)
        with naming(self.data.folder / source.entry, "a record without valid images", (Exception,)):
            images = self.data.images(source.entry, self.feature)
            if len(images) != source.steps:
                raise ValueError(f"it has {len(images)} images of {source.steps} steps")
            return [decoded(images[row]) for row in rows]


class Hdf5Images(_StoredImages):
    """Images in HDF5 files of LIBERO's layout, rotated as LIBERO's protocols do."""

    def __init__(self, folder: Path, spec: ImageSpec) -> None:
        """Images of `spec.camera`."""
        super().__init__(folder / f"recorded-{spec.name}", spec)

    def identity(self, demonstration: Demonstration) -> tuple[bytes, ...]:
        return (_digest(source_of(demonstration).place).encode(), *super().identity(demonstration))

    def read(self, demonstration: Demonstration, rows: Array) -> list[Array]:
        source, name = source_of(demonstration), VIEWS[self.spec.camera]
        images = read_group(source.place, source.entry, f"obs/{name}")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) <= source.rows.max(initial=-1):
            raise DataError(
                f"{source.place}: {source.entry}/obs/{name} is {images.dtype} {list(images.shape)}, not images of every step"
            )
        return [np.ascontiguousarray(images[row, ::-1, ::-1]) for row in rows]


class DecodedImages:
    """Images decoded anew for every example, without a cache, for sets that are too large for one."""

    def __init__(self, of: Callable[[Demonstration], ImageCache]) -> None:
        """`of` gives the images of a demonstration, which must be stored with it."""
        self._of = of

    def steps(self, demonstration: Demonstration) -> range:
        """Steps that have an image."""
        return self._of(demonstration).steps(demonstration)

    def get(self, demonstration: Demonstration) -> ImagesOnAccess:
        """The episode's images, each read when it is indexed. Raises DataError for images that would have to be rendered."""
        images = self._of(demonstration)
        if not isinstance(images, _StoredImages):
            raise DataError(f"the images of {demonstration.key} must be rendered into the cache: --set data.image_cache=true")
        return ImagesOnAccess(images, demonstration)


@dataclass(frozen=True, slots=True)
class ImagesOnAccess:
    """Images of an episode that are decoded on access."""

    images: _StoredImages
    demonstration: Demonstration

    def __len__(self) -> int:
        return len(self.images.steps(self.demonstration))

    def __getitem__(self, index: int) -> Array:
        return self.images.one(self.demonstration, int(index))


def decoded(image: bytes) -> Array:
    """[height, width, 3] uint8 of an encoded image."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))


def _frames_after(container: Any, stream: Any, seconds: float) -> Iterator[Any]:
    """The frames of a video from the first that is not before that time, s from its start."""
    start = float((stream.start_time or 0) * stream.time_base)
    if seconds > 0:
        container.seek(int((start + seconds) / stream.time_base), stream=stream, backward=True)
    for frame in container.decode(stream):
        if frame.time is None or frame.time - start >= seconds:
            yield frame


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
