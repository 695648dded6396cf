"""Failures of a run replayed: features of runs that were recorded without them, and strips of images for labelling."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.base import Array, EnvObservation
from ...envs.errors import InputError, MissingRequirementError
from ...envs.safe_io import atomic_write
from ...results.failures.classify import failure_classes, replayed_features, write_features
from ...results.report.videos import strip_path, video_path
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ..planning.schedule import model_of
from .replay import ReplayError, ReplayResult, reason, replaying

EXAMPLE_IMAGES, SHEET_IMAGES = 12, 24
"""Images of an example and of a strip to label, evenly spaced over the episode, first and last step included."""
PER_ROW = 6
COLUMNS = ("image", "key", "instruction", "class")
"""Columns of a sheet's `labels.csv`; `class` is empty, for the labels."""


def add_features(
    run: StoredRun, *, assets: str = "", trusted: Collection[str] = (), note: Callable[[str], None] = lambda line: None
) -> list[str]:
    """Replay the failures that have no features and write them to the run's `features.json`; episodes without, a line each.

    Raises SuiteError, MissingRequirementError, InputError where the environment cannot be built here.
    """
    known = replayed_features(run)
    due = [record for record in run.records if record.success is False and not record.features and record.key not in known]
    found: dict[str, dict[str, float]] = {}
    problems: list[str] = []
    for record, result in _replayed(run, due, assets, trusted):
        problem = result if isinstance(result, str) else _problem(result)
        if isinstance(result, str) or problem:
            problems.append(f"{record.key}: {problem}")
        else:
            found[record.key] = dict(result.features)
        note(f"{len(found) + len(problems)}/{len(due)}: {record.key}{': ' + problem if problem else ''}")
    if found:
        write_features(run, found)
    return problems


def write_sheet(
    run: StoredRun,
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    assets: str = "",
    trusted: Collection[str] = (),
    note: Callable[[str], None] = lambda line: None,
) -> int:
    """Strips of images of a random sample of the failures, and `labels.csv` to fill in; without the classes. Their number.

    Args:
        run: the run, as read from its folder.
        folder: new or empty; gets `001.png` ... and `labels.csv`.
        count: most strips.
        seed: of the sample and its order.
        assets: pack or folder to render with; empty for the run's own.
        trusted: see `replay.replay`.
        note: called with a line per episode.

    Raises:
        InputError: no failures, or the folder has files.
        MissingRequirementError, SuiteError: the environment cannot be built or rendered here.
    """
    failed = sorted((record for record in run.records if record.success is False and record.actions), key=lambda one: one.key)
    if not failed:
        raise InputError(f"{run.folder} has no failures with actions to show")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"--sheet {folder}: the folder is not empty; name a new one", option="--sheet", value=str(folder))
    chosen = random.Random(seed).sample(failed, min(count, len(failed)))
    number = {record.key: index for index, record in enumerate(chosen, 1)}
    folder.mkdir(parents=True, exist_ok=True)
    by_task = sorted(chosen, key=lambda record: model_of(record.spec))
    shown: set[str] = set()
    for record, image, problem in _strips(run, by_task, assets, trusted, SHEET_IMAGES):
        note(f"{record.key}{': ' + problem if problem else ''}")
        if image is not None:
            _save(image, folder / f"{number[record.key]:03d}.png")
            shown.add(record.key)
    _write_labels(folder, {number[record.key]: record for record in chosen if record.key in shown})
    return len(shown)


def write_examples(
    run: StoredRun,
    *,
    assets: str = "",
    trusted: Collection[str] = (),
    note: Callable[[str], None] = lambda line: None,
) -> int:
    """Strips of images of one failure of each class without a video, into the run's `examples` folder; their number.

    Args:
        run, assets, trusted: as for `write_sheet`.
        note: called with a line per episode.

    Raises:
        MissingRequirementError, SuiteError, InputError: the environment cannot be built or rendered here.
    """
    written = 0
    for record, image, problem in _strips(run, _examples_due(run), assets, trusted, EXAMPLE_IMAGES):
        if image is not None:
            path = strip_path(run.folder, record.key)
            path.parent.mkdir(exist_ok=True)
            with atomic_write(path, suffix=path.suffix) as scratch:
                _save(image, scratch)
            written += 1
        note(f"example {record.key}{': ' + problem if problem else ''}")
    return written


def _examples_due(run: StoredRun) -> list[EpisodeRecord]:
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
            tasks = {model_of(record.spec) for record in due}
            due.append(next((record for record in replayable if model_of(record.spec) in tasks), replayable[0]))
    return sorted(due, key=lambda record: model_of(record.spec))


def strip(images: Sequence[Array]) -> Array:
    """Images of equal size in rows of PER_ROW, H x W x 3 uint8."""
    blank = [np.full_like(images[0], 255)] * (-len(images) % PER_ROW)
    padded = [*images, *blank]
    rows = [np.concatenate(padded[start : start + PER_ROW], axis=1) for start in range(0, len(padded), PER_ROW)]
    return np.concatenate(rows, axis=0)


def shown_steps(record: EpisodeRecord, count: int) -> frozenset[int]:
    """Control steps of that many images; 0 is the reset."""
    return frozenset(np.linspace(0, record.steps, count).round().astype(int).tolist())


def _strips(
    run: StoredRun, records: Sequence[EpisodeRecord], assets: str, trusted: Collection[str], count: int
) -> Iterator[tuple[EpisodeRecord, Array | None, str]]:
    """Each record with a strip of `count` images of the first camera, and why it cannot be replayed; None for no images."""
    images: list[Array] = []
    turned = (run.metadata.protocol or {}).get("rotate_180")

    def keep(observation: EnvObservation) -> None:
        if observation.images:
            image = next(iter(observation.images.values()))
            images.append(image[:, ::-1] if turned else image)  # the published rotation mirrors

    steps = partial(shown_steps, count=count)
    for record, result in _replayed(run, records, assets, trusted, on_observation=keep, observed_steps=steps):
        problem = result if isinstance(result, str) else _difference(result)
        yield record, strip(images) if images and not problem else None, problem
        images.clear()


def _replayed(
    run: StoredRun, records: Sequence[EpisodeRecord], assets: str, trusted: Collection[str], **observed: Any
) -> Iterator[tuple[EpisodeRecord, ReplayResult | str]]:
    """Each record with its replay, or why there is none; `observed` as for `replaying`."""
    for suite, own in groupby(records, key=lambda record: record.suite):
        with replaying(run, suite, assets=assets, trusted=trusted, **observed) as again:
            for record in own:
                try:
                    yield record, again(record)
                except (ReplayError, InputError) as error:
                    yield record, reason(error)


def _difference(result: ReplayResult) -> str:
    return "" if result.same else "; ".join(["the replay DIFFERS from the recorded trajectory", *result.differences])


def _problem(result: ReplayResult) -> str:
    if difference := _difference(result):
        return difference
    return "" if result.features else "the suite's environment has no features"


def _save(image: Array, path: Path) -> None:
    try:
        from PIL import Image
    except ImportError:
        raise MissingRequirementError("images need Pillow. Type: pip install Pillow") from None
    Image.fromarray(np.ascontiguousarray(image)).save(path)


def _write_labels(folder: Path, shown: Mapping[int, EpisodeRecord]) -> None:
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        writer.writerows((f"{index:03d}.png", one.key, one.instruction, "") for index, one in shown.items())
