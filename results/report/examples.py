"""Examples of failure classes in a run's `examples` folder: a strip of images each, where there is no video."""

from __future__ import annotations

import base64
from pathlib import Path

from ..failures.classify import failure_classes
from ..store.reader import StoredRun
from ..store.records import EpisodeRecord
from ..store.writer import safe_name
from .videos import video_path

FOLDER = "examples"


def strip_path(folder: Path, key: str) -> Path:
    """The file of an episode's strip, in its run's folder."""
    return folder / FOLDER / f"{safe_name(key)}.jpg"


def strip_uri(folder: Path, key: str) -> str:
    """An episode's strip as a data URI; empty where there is none."""
    path = strip_path(folder, key)
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.is_file() else ""


def examples_due(run: StoredRun) -> list[EpisodeRecord]:
    """A failure of each class of which no episode has a video or a strip, from few tasks, in the order of the tasks."""
    by_class: dict[str, list[EpisodeRecord]] = {}
    classes = failure_classes(run)
    for record in run.records:
        if record.key in classes and not record.perturbation:
            by_class.setdefault(classes[record.key], []).append(record)
    due: list[EpisodeRecord] = []
    for own in by_class.values():
        replayable = [record for record in own if record.actions]
        if replayable and not any(video_path(run.folder, one.key) or strip_path(run.folder, one.key).is_file() for one in own):
            tasks = {_task(record) for record in due}
            due.append(next((record for record in replayable if _task(record) in tasks), replayable[0]))
    return sorted(due, key=_task)


def _task(record: EpisodeRecord) -> tuple[str, int, str]:
    return record.suite, record.task_id, record.variant
