"""Reads LeRobot-format data sets (2.0, 2.1 and 3.0) from a folder: parquet tables, pictures within them or as videos.

Through pyarrow, not through the package `lerobot`: that one holds back huggingface_hub below version 1, which
`transformers` 5 does not work with, and brings 80 packages. Pictures are upright in these sets, as policies see them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Required, TypedDict

import numpy as np

from ..envs.untrusted import inside, parse_json, read_object
from ..policies.images import model_image
from .demonstrations import DataError, Demonstration, naming
from .frames import Kept, Look

Array = np.ndarray
Gripper = Literal["command", "opening"]
"""What the last number of an action is. `command`: LIBERO's, -1 open and 1 close. `opening`: 1 open, 0 closed."""
PLACE = re.compile(r"\{(\w+)(?::([0-9]{1,3}d))?\}")
"""What is filled in in a path of `info`, with how it is written: `{episode_index:06d}`."""
ALONE = ["-protocol_whitelist", "file,pipe", "-format_whitelist", "mov,mp4,matroska,webm,avi"]
"""ffmpeg: nothing that is a list of other files or addresses."""
VERSIONS = ("v2.", "v3.")
ACTIONS = ("action", "actions")
STATES = ("observation.state", "state")


class Feature(TypedDict):
    """A column, as `meta/info.json` describes it."""

    dtype: str


class Info(TypedDict, total=False):
    """`meta/info.json`, as far as it is read here."""

    features: Required[dict[str, Feature]]
    data_path: Required[str]
    video_path: str | None
    chunks_size: int


@dataclass(frozen=True, slots=True)
class LeRobotSet:
    """A data set in a folder."""

    folder: Path
    info: Mapping[str, Any]
    """`meta/info.json`."""
    suite: str
    """Under which its statistics go."""
    gripper: Gripper = "command"

    @property
    def pictures(self) -> list[str]:
        """Names of the columns that hold pictures."""
        return [name for name, feature in self.info["features"].items() if feature["dtype"] in ("image", "video")]

    def column(self, wanted: tuple[str, ...]) -> str | None:
        """The first of those names that the set has."""
        return next((name for name in wanted if name in self.info["features"]), None)

    def demonstrations(self) -> Iterator[Demonstration]:
        """All episodes, in order. Raises DataError for a set without actions or instructions."""
        import pyarrow.parquet as parquet

        action, state = self.column(ACTIONS), self.column(STATES)
        if action is None:
            raise DataError(f"{self.folder} has no column {' or '.join(ACTIONS)}")
        with _naming(self.folder / "meta"):
            tasks = self._tasks()
        columns = [action, *([state] if state else []), "episode_index", "task_index"]
        for path in sorted((self.folder / "data").rglob("*.parquet")):
            with _naming(path):
                table = parquet.read_table(path, columns=columns)
                episodes = table["episode_index"].to_numpy()
                if episodes.dtype.kind not in "iu":
                    raise ValueError(f"episode_index is {episodes.dtype}, not whole numbers")
                numbers = np.unique(episodes)
            for episode in numbers:
                with _naming(path):
                    rows = table.filter(episodes == episode)
                    found = self._demonstration(int(episode), rows, action, state, tasks)
                yield found

    def _demonstration(self, episode: int, rows: Any, action: str, state: str | None, tasks: Mapping[int, str]) -> Demonstration:
        actions = _matrix(rows[action])
        if self.gripper == "opening":
            actions[:, -1] = 1.0 - 2.0 * actions[:, -1]
        instruction = tasks[int(rows["task_index"][0].as_py())]
        steps = len(actions)
        return Demonstration(
            key=f"{self.suite}/episode{episode}",
            suite=self.suite,
            task=re.sub(r"\W+", "_", instruction),
            instruction=instruction,
            actions=actions,
            states=np.zeros((steps, 0)),
            labels=actions,
            pushed=np.zeros(steps, bool),
            robot_states=_matrix(rows[state]) if state else np.zeros((steps, 0)),
            facts={"episode": episode},
        )

    def _tasks(self) -> dict[int, str]:
        lines, table = self.folder / "meta" / "tasks.jsonl", self.folder / "meta" / "tasks.parquet"
        if lines.is_file():
            rows = [parse_json(line) for line in lines.read_text(encoding="utf-8").splitlines() if line.strip()]
            return {int(row["task_index"]): str(row["task"]) for row in rows}
        if table.is_file():
            import pandas as pd

            frame = pd.read_parquet(table)
            frame = frame if "task" in frame else frame.rename_axis("task").reset_index()  # LeRobot writes it as the index
            return {int(index): str(name) for name, index in zip(frame["task"], frame["task_index"], strict=True)}
        raise DataError(f"{self.folder} has no meta/tasks.jsonl and no meta/tasks.parquet: no instructions")

    def where(self, episode: int, camera: str = "") -> dict[str, Any]:
        """What the paths in `info` are filled in with for an episode, and from which second on its video is."""
        if "episode_chunk" in self.info["data_path"]:
            values = {"episode_index": episode, "episode_chunk": episode // max(1, self.info.get("chunks_size", 1000))}
            return {**values, "video_key": camera, "from_s": 0.0}
        row = self._episode_row(episode)
        part = f"videos/{camera}" if camera else "data"
        values = {"chunk_index": int(row[f"{part}/chunk_index"]), "file_index": int(row[f"{part}/file_index"])}
        return {**values, "video_key": camera, "from_s": float(row.get(f"{part}/from_timestamp", 0.0))}

    def file(self, kind: Literal["data_path", "video_path"], where: Mapping[str, Any]) -> Path:
        """A file of the set. Raises DataError for a path that leads out of it, or has places that are not filled in."""
        try:
            return inside(self.folder, PLACE.sub(lambda found: format(where[found[1]], found[2] or ""), self.info[kind]))
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{self.folder}: {kind} in meta/info.json names no file of the set: {error}") from None

    def _episode_row(self, episode: int) -> dict[str, Any]:
        import pyarrow.parquet as parquet

        for path in sorted((self.folder / "meta" / "episodes").rglob("*.parquet")):
            with _naming(path):
                found = parquet.read_table(path, filters=[("episode_index", "==", episode)]).to_pylist()
            if found:
                return found[0]
        raise DataError(f"{self.folder}/meta/episodes says nothing of episode {episode}")


def is_lerobot(folder: Path) -> bool:
    """Whether the folder looks like a LeRobot-format set."""
    return (folder / "meta" / "info.json").is_file()


def open_lerobot(folder: Path, suite: str, gripper: Gripper = "command") -> LeRobotSet:
    """The data set in that folder. Raises DataError where there is none, or of a version that is not known."""
    import msgspec

    try:
        info = read_object(folder / "meta" / "info.json")
        version = str(info["codebase_version"])
        if version.startswith(VERSIONS):
            msgspec.convert(info, Info)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} is no LeRobot data set (meta/info.json: {type(error).__name__}: {error})") from None
    if not version.startswith(VERSIONS):
        raise DataError(f"{folder} is in LeRobot's format {version}; known are v2.0, v2.1 and v3.0")
    return LeRobotSet(folder, info, suite, gripper)


class Stored(Kept):
    """The pictures that a data set brings along, made the size that is wanted, every so many steps."""

    def __init__(self, folder: Path, look: Look, data: LeRobotSet, column: str | None = None) -> None:
        """`column` is the camera's; None for the set's first. Raises DataError where there is no such camera."""
        cameras = data.pictures
        if not cameras or (column and column not in cameras):
            raise DataError(f"{data.folder} has no pictures {column or ''}; it has {', '.join(cameras) or 'none'}")
        self.data = data
        self.column = column or cameras[0]
        super().__init__(folder / f"{data.suite}-{re.sub(r'[^A-Za-z0-9]+', '-', self.column)}-{look.name}", look)

    def make(self, demonstration: Demonstration) -> Array:
        """Read them and make them smaller."""
        video = self.data.info["features"][self.column]["dtype"] == "video"
        images = (self._from_video if video else self._from_table)(demonstration)
        steps = {"jpeg": self.look.jpeg, "filter": "lanczos3"}
        return np.stack([model_image(image, self.look.size, steps) for image in images[:: self.look.every]])

    def _from_table(self, demonstration: Demonstration) -> list[Array]:
        import pyarrow.parquet as parquet
        from PIL import Image

        episode = demonstration.facts["episode"]
        path = self.data.file("data_path", self.data.where(episode))
        with _naming(path):
            rows = parquet.read_table(path, columns=[self.column], filters=[("episode_index", "==", episode)])
            cells = rows[self.column].to_pylist()
            return self._all([np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in cells], demonstration)

    def _from_video(self, demonstration: Demonstration) -> list[Array]:
        import imageio_ffmpeg

        where = self.data.where(demonstration.facts["episode"], self.column)
        path = self.data.file("video_path", where)
        count = len(demonstration)
        reader = imageio_ffmpeg.read_frames(
            str(path), input_params=[*ALONE, "-ss", f"{where['from_s']:.6f}"], output_params=["-frames:v", str(count)]
        )
        with _naming(path):
            width, height = next(reader)["size"]
            return self._all([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader], demonstration)

    def _all(self, images: list[Array], demonstration: Demonstration) -> list[Array]:
        """Those pictures. Raises ValueError where there is not one for each step."""
        if len(images) != len(demonstration):
            raise ValueError(f"it has {len(images)} pictures of {demonstration.key}, which has {len(demonstration)} steps")
        return images


def _matrix(column: Any) -> Array:
    """[rows, numbers] float64 from a column of lists."""
    found = np.array(column.to_pylist(), np.float64)
    if found.ndim != 2 or not np.isfinite(found).all():
        raise ValueError(f"a column of {list(found.shape)} is not finite numbers, as many in every row")
    return found


def _naming(path: Path) -> AbstractContextManager[None]:
    """As `naming`; pyarrow, Pillow and imageio have errors of their own, so that any speaks of the file."""
    return naming(path, "not as a LeRobot data set is", (Exception,))
