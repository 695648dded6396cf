"""Videos of episodes from a run's `videos` folder, and strips of images from `examples`, for embedding in a page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..store.reader import StoredRun
from ..store.records import EpisodeRecord
from ..store.writer import safe_name
from ..summary import outcome_name

KINDS = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
"""File suffix -> media type."""


def video_id(run: str, record: EpisodeRecord) -> str:
    """Identifier of an episode's video in the page."""
    return f"{run}:{record.key}"


def embed_videos(by_name: Mapping[str, StoredRun], megabytes: float) -> dict[str, str]:
    """Video -> data URI for the videos in `videos/`; failures first, up to the total size."""
    found = [
        (bool(record.success), video_id(name, record), path)
        for name, run in by_name.items()
        for record in run.records
        if (path := video_path(run.folder, record.key))
    ]
    videos: dict[str, str] = {}
    room = megabytes * 2**20
    for _, video, path in sorted(found, key=lambda entry: entry[0]):
        size = path.stat().st_size * 4 / 3
        if size <= room:
            room -= size
            videos[video] = f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return videos


def video_path(folder: Path, key: str) -> Path | None:
    """An episode's video: `videos/<safe name of the key>.mp4` (.webm, .gif) in its run's folder, or None."""
    paths = (folder / "videos" / f"{safe_name(key)}{kind}" for kind in KINDS)
    return next((path for path in paths if path.is_file()), None)


def strip_path(folder: Path, key: str) -> Path:
    """The file of an episode's strip, in its run's folder."""
    return folder / "examples" / f"{safe_name(key)}.jpg"


def strip_uri(folder: Path, key: str) -> str:
    """An episode's strip as a data URI; empty where there is none."""
    path = strip_path(folder, key)
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.is_file() else ""


def stratified_sample(episodes: Iterable[tuple[str, EpisodeRecord]], count: int) -> list[tuple[str, EpisodeRecord]]:
    """`count` (run, record) pairs, taken in turn from every run, suite and outcome in pseudorandom order."""
    kinds: dict[tuple[str, str, str], list[tuple[str, EpisodeRecord]]] = {}
    for name, record in sorted(episodes, key=lambda entry: safe_name(entry[1].key)[-16:]):
        kinds.setdefault((name, record.suite, outcome_name(record)), []).append((name, record))
    turns = [entry for turn in range(count) for kind in sorted(kinds) for entry in kinds[kind][turn : turn + 1]]
    return turns[:count]
