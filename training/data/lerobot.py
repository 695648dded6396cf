"""Reads LeRobot-format data sets (2.0, 2.1 and 3.0) from a folder: parquet tables; `stored_images` reads their images.

Through pyarrow, not through the package `lerobot`: that one holds back huggingface_hub below version 1, which
`transformers` 5 does not work with, and brings 80 packages. What the tables, the metadata and the videos say of an episode is
held against each other, because converters leave out frames in one and not in the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Required, TypedDict

import numpy as np

from ...envs.safe_io import inside, parse_json, read_object
from ...envs.types import Array
from .demonstrations import DataError, Demonstration, Source, naming, stored_demonstration

PLACE = re.compile(r"\{(\w+)(?::([0-9]{1,3}d))?\}")
"""Placeholder in a path of `info`, with its format: `{episode_index:06d}`."""
VERSIONS = ("v2.0", "v2.1", "v3.0")
ACTIONS = ("action", "actions")
STATES = ("observation.state", "state")
WRIST = re.compile(r"wrist|hand|gripper|image_?2$", re.IGNORECASE)
"""Names of cameras that move with the gripper."""
MAIN = ("primary", "image", "agentview", "agentview_rgb", "agentview_image")
"""Last parts of column names that denote the main camera."""


class Feature(TypedDict):
    """A column, as `meta/info.json` describes it."""

    dtype: str


class Info(TypedDict, total=False):
    """The parts of `meta/info.json` that are read here."""

    features: Required[dict[str, Feature]]
    data_path: Required[str]
    video_path: str | None
    chunks_size: int
    fps: float


@dataclass(frozen=True)
class LeRobotSet:
    """A data set in a folder."""

    folder: Path
    info: Mapping[str, Any]
    """`meta/info.json`."""
    suite: str
    """Suite of its statistics."""

    @property
    def image_columns(self) -> list[str]:
        """Names of the image columns."""
        return [name for name, feature in self.info["features"].items() if feature["dtype"] in ("image", "video")]

    def column(self, wanted: tuple[str, ...]) -> str | None:
        """The first of those columns that the set has."""
        return next((name for name in wanted if name in self.info["features"]), None)

    def camera(self, wanted: str = "primary") -> str:
        """The column of a camera's images.

        Args:
            wanted: a column's name; `primary`: the one that does not move with the gripper; `wrist`: the one that does.

        Raises:
            DataError: no such camera, or several candidates without a usual name.
        """
        if wanted in (found := self.image_columns):
            return wanted
        if wanted in ("primary", "wrist"):
            fitting = [name for name in found if bool(WRIST.search(name.rpartition(".")[2])) == (wanted == "wrist")]
            usual = [name for name in fitting if name.rpartition(".")[2] in MAIN] if len(fitting) > 1 else fitting
            if len(usual) == 1:
                return usual[0]
            if fitting:
                raise DataError(f"{self.folder} has several cameras. Choose one: --camera {' or --camera '.join(fitting)}")
        raise DataError(f"{self.folder} has no image column {wanted!r}; known: {', '.join(found) or 'none'}")

    def demonstrations(self) -> Iterator[Demonstration]:
        """All episodes in order, as stored; one whose instruction changes is split.

        Raises DataError for a set without actions or instructions, or with rows that contradict its metadata.
        """
        import pyarrow.parquet as parquet

        action, state = self.column(ACTIONS), self.column(STATES)
        if action is None:
            raise DataError(f"{self.folder} has no column {' or '.join(ACTIONS)}")
        tasks, seen = self.tasks, set[int]()
        wanted = [action, *([state] if state else []), "episode_index", "task_index", "frame_index", "timestamp"]
        for path in sorted((self.folder / "data").rglob("*.parquet")):
            with _naming(path):
                there = parquet.read_schema(path).names
                table = parquet.read_table(path, columns=[name for name in wanted if name in there or name == action])
                runs = _runs(table, "episode_index")
            for episode, first, last in runs:
                with _naming(path):
                    if episode in seen:
                        raise ValueError(f"episode {episode} has rows in two places")
                    found = self._episode(episode, table.slice(first, last - first), action, state, tasks)
                seen.add(episode)
                yield from found
        if not seen:
            raise DataError(f"{self.folder} has no episodes under data/. Was the set downloaded completely?")

    def _episode(self, episode: int, rows: Any, action: str, state: str | None, tasks: Mapping[int, str]) -> list[Demonstration]:
        actions = _matrix(rows[action])
        states = _matrix(rows[state]) if state else np.zeros((len(actions), 0))
        self._check(episode, rows)
        stretches = _runs(rows, "task_index")
        return [
            stored_demonstration(
                f"{self.suite}/episode{episode}",
                self.suite,
                tasks[task],
                actions[first:last],
                states[first:last],
                Source(self.folder, str(episode), np.arange(first, last), len(actions)),
            )
            for task, first, last in stretches
        ]

    def _check(self, episode: int, rows: Any) -> None:
        """Compare rows with frame numbers, times and the metadata's length. Raises ValueError naming episode and numbers."""
        count = len(rows)
        length = self._meta.get(episode, {}).get("length")
        if length is not None and int(length) != count:
            raise ValueError(f"episode {episode} has {count} rows; the metadata state {length}")
        for name, every, most in (("frame_index", 1.0, 0.0), ("timestamp", 1.0 / self.fps, 0.5 / self.fps)):
            if name in rows.column_names:
                found = np.asarray(rows[name].combine_chunks().to_numpy(zero_copy_only=False), np.float64).reshape(count, -1)[
                    :, 0
                ]
                off = np.flatnonzero(~(np.abs(found - every * np.arange(count)) <= most))
                if len(off):
                    at = int(off[0])
                    raise ValueError(f"episode {episode}: {name} of row {at} is {found[at]:g}, not {every * at:g}")

    @property
    def fps(self) -> float:
        """Rows per second."""
        return float(self.info.get("fps") or 10.0)

    @cached_property
    def tasks(self) -> Mapping[int, str]:
        """Task index -> instruction. Raises DataError for a set without instructions."""
        with _naming(self.folder / "meta"):
            return self._tasks()

    def _tasks(self) -> dict[int, str]:
        lines, table = self.folder / "meta" / "tasks.jsonl", self.folder / "meta" / "tasks.parquet"
        if lines.is_file():
            return {int(row["task_index"]): str(row["task"]) for row in _lines(lines)}
        if table.is_file():
            import pandas as pd

            frame = pd.read_parquet(table)
            frame = frame if "task" in frame else frame.rename_axis("task").reset_index()  # LeRobot stores it as the index
            return {int(index): str(name) for name, index in zip(frame["task"], frame["task_index"], strict=True)}
        raise DataError(f"{self.folder} has no instructions: meta/tasks.jsonl and meta/tasks.parquet not found")

    @cached_property
    def _meta(self) -> Mapping[int, Mapping[str, Any]]:
        """Episode -> its metadata without statistics. Read once: there may be thousands of episodes."""
        import pyarrow.parquet as parquet

        lines, found = self.folder / "meta" / "episodes.jsonl", list[dict[str, Any]]()
        if lines.is_file():
            with _naming(lines):
                found += _lines(lines)
        for path in sorted((self.folder / "meta" / "episodes").rglob("*.parquet")):
            with _naming(path):
                names = parquet.read_schema(path).names
                wanted = [name for name in names if name in ("episode_index", "length") or name.startswith(("data/", "videos/"))]
                found += parquet.read_table(path, columns=wanted).to_pylist()
        with _naming(self.folder / "meta"):
            return {int(row["episode_index"]): row for row in found}

    def where(self, episode: int, camera: str = "") -> dict[str, Any]:
        """Values for the path templates in `info` for an episode, and the time range of its video (s; None: all of it)."""
        if "episode_chunk" in self.info["data_path"]:
            values = {"episode_index": episode, "episode_chunk": episode // max(1, self.info.get("chunks_size", 1000))}
            return {**values, "video_key": camera, "from_s": None, "to_s": None}
        if episode not in self._meta:
            raise DataError(f"{self.folder}/meta/episodes has no episode {episode}")
        row, part = self._meta[episode], f"videos/{camera}" if camera else "data"
        with _naming(self.folder / "meta" / "episodes"):
            values = {"chunk_index": int(row[f"{part}/chunk_index"]), "file_index": int(row[f"{part}/file_index"])}
            times = {
                f"{end}_s": None if (at := row.get(f"{part}/{end}_timestamp")) is None else float(at) for end in ("from", "to")
            }
        return {**values, "video_key": camera, **times}

    def file(self, kind: Literal["data_path", "video_path"], where: Mapping[str, Any]) -> Path:
        """A file of the set. Raises DataError for a path outside the set, or with unknown placeholders."""
        try:
            return inside(self.folder, PLACE.sub(lambda found: format(where[found[1]], found[2] or ""), self.info[kind]))
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{self.folder}: {kind} in meta/info.json is not a file of the set: {error}") from None


def is_lerobot(folder: Path) -> bool:
    """Whether the folder looks like a LeRobot-format set."""
    return (folder / "meta" / "info.json").is_file()


def open_lerobot(folder: Path, suite: str) -> LeRobotSet:
    """The data set in that folder. Raises DataError for a missing set or an unknown version."""
    import msgspec

    try:
        info = read_object(folder / "meta" / "info.json")
        version = str(info["codebase_version"])
        if version.startswith(VERSIONS):
            msgspec.convert(info, Info)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} is not a LeRobot data set (meta/info.json: {type(error).__name__}: {error})") from None
    if not version.startswith(VERSIONS):
        raise DataError(f"{folder} has LeRobot format {version}; known: {', '.join(VERSIONS)}")
    return LeRobotSet(folder, info, suite)


def _lines(path: Path) -> list[Any]:
    return [parse_json(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _runs(rows: Any, name: str) -> list[tuple[int, int, int]]:
    """[(number, first row, row after the last)] of the stretches in which a column of whole numbers stays the same."""
    numbers = rows[name].combine_chunks().to_numpy(zero_copy_only=False)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise ValueError(f"{name} is {numbers.dtype}, not whole numbers")
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)] if len(numbers) else [0]
    return [(int(numbers[first]), first, last) for first, last in pairwise(edges)]


def _matrix(column: Any) -> Array:
    """[rows, numbers] float64 from a column of lists."""
    import pyarrow as pa

    lists, rows = column.combine_chunks(), len(column)
    if pa.types.is_fixed_size_list(lists.type):
        lengths = {lists.type.list_size}
    elif pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type):
        lengths = set(lists.value_lengths().unique().to_pylist())
    else:
        raise ValueError(f"a column of {lists.type} is not lists of numbers")
    found = np.array(lists.flatten().to_numpy(zero_copy_only=False), np.float64)
    if len(lengths) != 1 or lists.null_count or not np.isfinite(found).all():
        raise ValueError(f"a column of {rows} rows is not finite numbers, as many in every row")
    return found.reshape(rows, -1)


def _naming(path: Path) -> AbstractContextManager[None]:
    """Name the file in errors like `naming`, also in those of pyarrow, Pillow and imageio."""
    return naming(path, "not a valid part of a LeRobot data set", (Exception,))
