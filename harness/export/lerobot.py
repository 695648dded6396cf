"""Rollouts of a run as a LeRobot data set, format v3.0.

A record has actions but no observations, so each episode is replayed in its environment; only those with a bit-identical
trajectory are exported. Row t has the observation before action t. Images are PNGs inside the Parquet file, hence lossless.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.base import Array, EnvObservation, ObservationSpec
from ...envs.errors import InputError, MissingRequirementError
from ...policies.remote.messages import libero_state
from ...results.store.integrity import read_actions
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ..replay.replay import ReplayError, ReplayResult, replaying

FORMAT = "v3.0"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
COUNTERS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64"}
"""Columns that LeRobot requires -> type."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Result of an export."""

    episodes: int
    left_out: tuple[str, ...]
    """Keys, with the reason."""


@dataclass(slots=True)
class ImageSums:
    """Running sums over images: [camera][channel]."""

    count: int = 0
    low: dict[str, Array] = field(default_factory=dict)
    high: dict[str, Array] = field(default_factory=dict)
    sums: dict[str, Array] = field(default_factory=dict)
    squares: dict[str, Array] = field(default_factory=dict)

    def add(self, images: dict[str, Array]) -> None:
        """One frame: camera -> [height, width, 3] uint8."""
        self.count += 1
        for name, image in images.items():
            unit = image.reshape(-1, 3).astype(np.float64) / 255
            low, high = unit.min(0), unit.max(0)
            self.low[name] = np.minimum(self.low[name], low) if name in self.low else low
            self.high[name] = np.maximum(self.high[name], high) if name in self.high else high
            self.sums[name] = self.sums.get(name, 0) + unit.mean(0)
            self.squares[name] = self.squares.get(name, 0) + (unit**2).mean(0)

    def stats(self, name: str) -> dict[str, Any]:
        """In LeRobot's form: [3, 1, 1], of images from 0 to 1."""
        mean = self.sums[name] / self.count
        spread = np.sqrt(np.maximum(self.squares[name] / self.count - mean**2, 0))
        parts = {"min": self.low[name], "max": self.high[name], "mean": mean, "std": spread}
        return {**{part: values.reshape(3, 1, 1).tolist() for part, values in parts.items()}, "count": [self.count]}


def write_lerobot(
    run: StoredRun,
    out: Path,
    *,
    fps: int,
    assets: str = "",
    trusted: Collection[str] = (),
    note: Callable[[str], None] = lambda line: None,
) -> ExportResult:
    """Replay the episodes and write the data set into a new folder.

    Args:
        run: the run.
        out: folder; must not exist.
        fps: control steps per second.
        assets: pack or folder to render with; empty for the run's own.
        trusted: see `replay.replay`.
        note: receives every omitted episode, with the reason.

    Raises:
        InputError: no episode could be written. MissingRequirementError, SuiteError: a requirement is missing.
    """
    try:
        import PIL  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingRequirementError("LeRobot data sets need the extra [export]: pip install 'nora-bench[export]'") from None
    writer = _Writer(out, fps)
    left_out = [f"{record.key}: {record.error or 'it has no actions'}" for record in run.records if not record.actions]
    for line in left_out:
        note(f"omitted: {line}")
    try:
        for suite in dict.fromkeys(record.suite for record in run.records):
            views: list[EnvObservation] = []
            with replaying(
                run,
                suite,
                assets=assets,
                on_observation=views.append,
                observation_spec=ObservationSpec(proprio=True),
                trusted=trusted,
            ) as again:
                for record in run.records:
                    if record.suite == suite and record.actions:
                        views.clear()
                        if problem := _problem(run, record, again):
                            left_out.append(f"{record.key}: {problem}")
                            note(f"omitted: {left_out[-1]}")
                        else:
                            writer.add(record, views, read_actions(run, record))
        if not writer.episodes:
            raise InputError(f"no episode of {run.folder} could be written: {left_out[0] if left_out else 'it has none'}")
        writer.close()
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)  # a part of a data set, which a second attempt would find in its way
        raise
    return ExportResult(len(writer.episodes), tuple(left_out))


def _problem(run: StoredRun, record: EpisodeRecord, again: Callable[[EpisodeRecord], ReplayResult]) -> str:
    """Replay an episode; why it cannot be a part of the data set, or an empty string."""
    try:
        if not again(record).same:
            return "the replay differs from the record"
        largest = np.abs(read_actions(run, record)).max()
    except ReplayError as error:
        return f"it cannot be replayed: {error.cause}"
    except InputError as error:  # missing actions, an unknown perturbation
        return str(error)
    if largest > np.finfo(np.float32).max:
        return f"its actions reach {largest:.3g}, more than float32 can hold"
    return "" if abs(record.seed) < 2**63 else f"its seed {record.seed} has more than 64 bits"


class _Writer:
    """Appends episodes; `close` writes what lies under meta/."""

    def __init__(self, out: Path, fps: int) -> None:
        self.out, self.fps = out, fps
        self.episodes: list[dict[str, Any]] = []
        self._tasks: dict[str, int] = {}
        self._vectors: dict[str, list[Array]] = {"observation.state": [], "action": []}
        self._images = ImageSums()
        self._features: dict[str, dict[str, Any]] = {}
        self._frames = 0

    def add(self, record: EpisodeRecord, views: Sequence[EnvObservation], actions: Array) -> None:
        """One rollout: the views before each action, and one after the last."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        number, length = len(self.episodes), len(actions)
        task = self._tasks.setdefault(record.instruction, len(self._tasks))
        states = np.stack([_state(view) for view in views[:length]])
        self._describe(views[0], states, actions)
        self._vectors["observation.state"].append(states)
        self._vectors["action"].append(actions)
        first = self._frames
        columns: dict[str, Any] = {
            "observation.state": _column(states),
            "action": _column(actions),
            **{f"observation.images.{name}": self._image_column(name, views[:length]) for name in views[0].images},
            "timestamp": pa.array(np.arange(length, dtype=np.float32) / self.fps),
            "frame_index": pa.array(np.arange(length)),
            "episode_index": pa.array(np.full(length, number)),
            "index": pa.array(np.arange(first, first + length)),
            "task_index": pa.array(np.full(length, task)),
        }
        for view in views[:length]:
            self._images.add(dict(view.images))
        path = self.out / DATA.format(**_place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        self._frames += length
        self.episodes.append(self._row(record, number, first, length))

    def _image_column(self, name: str, views: Sequence[EnvObservation]) -> Any:
        import pyarrow as pa

        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        return pa.array([{"bytes": _png(view.images[name]), "path": f"frame-{n:06d}.png"} for n, view in enumerate(views)], kind)

    def _row(self, record: EpisodeRecord, number: int, first: int, length: int) -> dict[str, Any]:
        place = {f"data/{name}": value for name, value in _place(number).items()}
        own = {"key": record.key, "success": bool(record.success), "policy": record.policy, "seed": record.seed}
        return {
            "episode_index": number,
            "tasks": [record.instruction],
            "length": length,
            **place,
            "dataset_from_index": first,
            "dataset_to_index": first + length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            **{f"nora_bench/{name}": value for name, value in own.items()},
        }

    def _describe(self, view: EnvObservation, states: Array, actions: Array) -> None:
        """The features, as the first episode shows them; every other must show the same."""
        vectors = {"observation.state": states, "action": actions}
        found = {name: {"dtype": "float32", "shape": [rows.shape[1]], "names": None} for name, rows in vectors.items()}
        for name, image in view.images.items():
            found[f"observation.images.{name}"] = {
                "dtype": "image",
                "shape": list(image.shape),
                "names": ["height", "width", "channels"],
            }
        found |= {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in COUNTERS.items()}
        if self._features and found != self._features:
            raise InputError(
                "the suites of this run show different things, and a data set holds one kind; export runs of one suite"
            )
        self._features = found

    def close(self) -> None:
        """Write meta/."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        (self.out / EPISODES).parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(self.episodes), self.out / EPISODES)
        tasks = pd.DataFrame({"task_index": list(self._tasks.values())}, index=list(self._tasks))
        tasks.to_parquet(self.out / "meta" / "tasks.parquet")
        for name, values in (("info", self._info()), ("stats", dict(self._stats()))):
            (self.out / "meta" / f"{name}.json").write_text(json.dumps(values, indent=4), encoding="utf-8")

    def _info(self) -> dict[str, Any]:
        return {
            "codebase_version": FORMAT,
            "robot_type": None,
            "total_episodes": len(self.episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": 1000,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self.episodes)}"},
            "data_path": DATA,
            "video_path": None,
            "features": self._features,
        }

    def _stats(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, parts in self._vectors.items():
            rows = np.concatenate(parts)
            found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
            found |= {quantile: np.quantile(rows, share, axis=0) for quantile, share in QUANTILES.items()}
            yield name, {**{part: values.tolist() for part, values in found.items()}, "count": [len(rows)]}
        for name in self._images.sums:
            yield f"observation.images.{name}", self._images.stats(name)


def _place(number: int) -> dict[str, int]:
    """Chunk and file of an episode's rows: a file each, a thousand files to a folder."""
    return {"chunk_index": number // 1000, "file_index": number % 1000}


def _column(rows: Array) -> Any:
    """[length, size] as lists of float32; single numbers stand alone, as LeRobot has it."""
    import pyarrow as pa

    rows = rows.astype(np.float32)
    return pa.array(rows[:, 0]) if rows.shape[1] == 1 else pa.array(list(rows), pa.list_(pa.float32(), rows.shape[1]))


def _state(view: EnvObservation) -> Array:
    """LIBERO's 8 numbers where the suite shows them; else all that it shows of the robot, by name."""
    if {"eef_pos", "eef_quat", "gripper_qpos"} <= view.proprio.keys():
        return libero_state(view.proprio)
    return np.concatenate([view.proprio[name] for name in sorted(view.proprio)]) if view.proprio else np.zeros(1)


def _png(image: Array) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
