"""Reads demonstrations of all layouts (nora-bench's and LIBERO's HDF5 files, LeRobot and RLDS sets), filters and splits them.

LIBERO's human demonstrations pause; a policy that learns to pause may never resume. The rule for no-ops is that of OpenVLA's
no-op-free LIBERO sets, on which the NORA family's checkpoints were fine-tuned as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...envs.errors import InputError
from ...envs.types import Array
from .conventions import Gripper, with_command
from .demonstrations import LIBERO, DataError, Demonstration, is_task, read_files, suite_of, task_files
from .images import ImageCache, ImageSpec, open_sim_images
from .lerobot import LeRobotSet, is_lerobot, open_lerobot
from .rlds import RldsSet, find_rlds
from .stored_images import Hdf5Images, LeRobotImages, RldsImages, seen_before

CAMERAS = ("primary", "wrist")


@dataclass(frozen=True)
class Data:
    """The demonstrations of several folders, with LIBERO's actions."""

    demonstrations: Sequence[Demonstration]
    sets: Mapping[Path, LeRobotSet | RldsSet]
    """Folder -> LeRobot or RLDS set."""
    notes: tuple[str, ...]
    """Conventions inferred from third-party sets, for the plan."""

    def noted(self) -> dict[str, str]:
        """The notes, as a line of a plan."""
        return {"note": "; ".join(self.notes)} if self.notes else {}

    def images(self, folder: Path, spec: ImageSpec, assets: str, camera: str | None = None) -> AnyImages:
        """Their images: rendered from the states where fixture poses are known, else those stored with them.

        Args:
            folder: image cache.
            spec: image settings.
            assets: asset pack for rendering, or several; see `open_sim_images`.
            camera: of LeRobot and RLDS sets, by name; None: that of the spec's camera.

        Raises:
            DataError: demonstrations without images, naming one. SuiteError, MissingRequirementError: rendering is impossible.
        """
        others = [d for d in self.demonstrations if not self._set_of(d)]
        if others and spec.camera not in CAMERAS:
            raise InputError(
                f"--camera {spec.camera}: {' or '.join(CAMERAS)}, or one of a LeRobot or RLDS set", option="--camera"
            )
        stored = {place: _images(folder, spec, found, camera) for place, found in self.sets.items()}
        for demonstration in self.demonstrations:
            if place := self._set_of(demonstration):
                stored[place].check(demonstration)
        for demonstration in others:
            if demonstration.source:
                _check(demonstration)
        return AnyImages(folder, spec, stored, open_sim_images(folder, spec, assets) if any(map(can_render, others)) else None)

    def _set_of(self, demonstration: Demonstration) -> Path | None:
        """Folder of its LeRobot or RLDS set."""
        return demonstration.source.place if demonstration.source and demonstration.source.place in self.sets else None


class AnyImages(ImageCache):
    """Images of demonstrations from several sources; see `Data.images`."""

    def __init__(
        self, folder: Path, spec: ImageSpec, stored: Mapping[Path, LeRobotImages | RldsImages], rendered: ImageCache | None
    ) -> None:
        super().__init__(rendered.folder if rendered else folder, spec)
        self._stored, self._rendered, self._recorded = stored, rendered, Hdf5Images(folder, spec)

    def of(self, demonstration: Demonstration) -> ImageCache:
        """Image source of a demonstration."""
        if demonstration.source and demonstration.source.place in self._stored:
            return self._stored[demonstration.source.place]
        return self._rendered if self._rendered and can_render(demonstration) else self._recorded

    def path(self, demonstration: Demonstration) -> Path:
        return self.of(demonstration).path(demonstration)

    def make(self, demonstration: Demonstration) -> Array:
        return self.of(demonstration).make(demonstration)

    def close(self) -> None:
        """Free GL resources."""
        if self._rendered:
            self._rendered.close()


def _images(folder: Path, spec: ImageSpec, data: LeRobotSet | RldsSet, camera: str | None) -> LeRobotImages | RldsImages:
    """Images of a set; `folder` is the cache."""
    return LeRobotImages(folder, spec, data, camera) if isinstance(data, LeRobotSet) else RldsImages(folder, spec, data, camera)


def can_render(demonstration: Demonstration) -> bool:
    """Whether fixture poses are known, so that images can be rendered from its states."""
    return "fixtures" in demonstration.facts or bool(demonstration.model)


def _check(demonstration: Demonstration) -> None:
    """Raise DataError for a third-party HDF5 file whose images can be neither rendered nor used."""
    place, rendered = demonstration.source and demonstration.source.place, can_render(demonstration)
    if rendered and not is_task(demonstration.suite, demonstration.task):
        raise DataError(
            f"{place}: {demonstration.suite} has no task {demonstration.task}, so images cannot be rendered. Name the file after "
            f"its task and the folder after its suite ({', '.join(LIBERO)}): nora-bench list tasks --suite libero_object"
        )
    if not rendered and not seen_before(demonstration):
        raise DataError(
            f"{place} has no attribute model_file, so fixture poses are unknown and images cannot be rendered; and its "
            "stored images may follow the actions. Use the original files. Type: "
            "nora-bench data regenerate --data ORIGINAL --out no_noops"
        )


def read(folders: Sequence[Path], *, gripper: Gripper | None = None, model: bool = False, most: int | None = None) -> Data:
    """The demonstrations of several folders, or single HDF5 files, one after the other.

    Args:
        folders: LeRobot and RLDS sets; other folders are searched for HDF5 files.
        gripper: meaning of an action's last number in third-party sets; None: inferred from its values.
        model: see `demonstrations.read_file`.
        most: maximum number per task.

    Raises:
        DataError: a folder without demonstrations; actions of another or an undetermined convention.
    """
    found: list[Demonstration] = []
    sets: dict[Path, LeRobotSet | RldsSet] = {}
    notes: list[str] = []
    for folder in folders:
        if opened := _open(folder):
            sets[opened.folder] = opened
            rows = named(list(opened.demonstrations()), folder)
        else:
            rows = list(read_files(task_files([folder]), model=model))
        if not rows:
            raise DataError(f"{folder} contains no demonstrations")
        own = [demonstration for demonstration in rows if demonstration.source is None]
        others, note = [d for d in rows if d.source], ""
        if others:
            others, note = with_command(others, folder, gripper)
        found += [replace(d, data_set=data_set_of(folder)) for d in _first([*own, *others], most)]
        notes += [note] if note else []
    return Data(found, sets, tuple(notes))


def _open(folder: Path) -> LeRobotSet | RldsSet | None:
    """The LeRobot or RLDS set in that folder; None for other folders."""
    if is_lerobot(folder):
        return open_lerobot(folder, folder.name)
    records = find_rlds(folder)
    return RldsSet(records, data_set_of(folder)) if records else None


def data_set_of(folder: Path) -> str:
    """Name of a set of demonstrations: its folder's."""
    return folder.resolve().name


def named(demonstrations: Sequence[Demonstration], folder: Path) -> list[Demonstration]:
    """The demonstrations under the suite that their instructions and the name of the LeRobot set's folder indicate."""
    suite = suite_of(folder.resolve().name, instructions=[d.instruction for d in demonstrations])
    return [replace(d, suite=suite) if d.suite.startswith(suite) else d for d in demonstrations]


def no_sets(folders: Iterable[Path], what: str) -> None:
    """Raise DataError for a LeRobot set, which the command cannot use; `what` gives the reason, after `which`."""
    for folder in folders:
        if is_lerobot(folder):
            raise DataError(f"{folder} is a LeRobot set, which {what}")


def _first(demonstrations: Sequence[Demonstration], most: int | None) -> list[Demonstration]:
    """At most `most` demonstrations of each task of a folder."""
    counts: dict[tuple[str, str], int] = {}
    kept = []
    for demonstration in demonstrations:
        task = (demonstration.suite, demonstration.task)
        counts[task] = counts.get(task, 0) + 1
        if most is None or counts[task] <= most:
            kept.append(demonstration)
    return kept


NOOP_NORM = 1e-4
"""Norm of the first six numbers of an action below which it is a no-op."""


def acting(actions: Array) -> Array:
    """[steps] bool: steps that move the gripper, or whose gripper command differs from that of the last kept step.

    For the first step only the norm counts.
    """
    keep = np.linalg.norm(actions[:, :-1], axis=1) >= NOOP_NORM
    last = None
    for step, gripper in enumerate(actions[:, -1]):
        keep[step] |= last is not None and gripper != last
        if keep[step]:
            last = gripper
    return keep


def without_noops(demonstration: Demonstration) -> Demonstration:
    """The demonstration without no-ops. Replaying its actions does not reproduce its states."""
    keep = acting(demonstration.labels)
    rows = ("actions", "states", "labels", "pushed", "robot_states")
    kept = {name: getattr(demonstration, name)[keep] for name in rows}
    seen, source = demonstration.seen_qpos, demonstration.source
    source = source and replace(source, rows=source.rows[keep])
    return replace(demonstration, **kept, seen_qpos=None if seen is None else seen[keep], source=source)


SMOOTHING_REACH = 3
"""Half width of the window, in standard deviations."""


def smoothed(demonstration: Demonstration, width: float) -> Demonstration:
    """The demonstration with labels smoothed along time, except for the gripper's.

    Args:
        demonstration: with labels [steps, action size].
        width: standard deviation of the Gaussian weights, in steps; 0 changes nothing.
    """
    if not width:
        return demonstration
    labels = demonstration.labels.copy()
    for first, last in _stretches(demonstration):
        labels[first:last, :-1] = _averaged(labels[first:last, :-1], width)
    return replace(demonstration, labels=labels)


def _stretches(demonstration: Demonstration) -> list[tuple[int, int]]:
    """[(first, after last)] step ranges without a change of the gripper command or of being pushed."""
    kinds = np.stack([demonstration.labels[:, -1], demonstration.pushed], axis=1)
    breaks = np.flatnonzero((np.diff(kinds, axis=0) != 0).any(axis=1)) + 1
    edges = [0, *breaks.tolist(), len(demonstration)]
    return [*pairwise(edges)]


def _averaged(rows: Array, width: float) -> Array:
    """[steps, n]: weighted mean around each step, over existing steps."""
    apart = np.subtract.outer(np.arange(len(rows)), np.arange(len(rows)))
    weights = np.exp(-0.5 * (apart / width) ** 2) * (np.abs(apart) <= SMOOTHING_REACH * width)
    return weights @ rows / weights.sum(axis=1, keepdims=True)


def split(
    demonstrations: Iterable[Demonstration], share: float = 0.05, *, seed: int = 0
) -> tuple[list[Demonstration], list[Demonstration]]:
    """(training, validation) episodes. The key of each decides, so a growing set keeps its split.

    If all of a small set fall to validation, the one nearest to training is trained on.

    Args:
        demonstrations: all of them.
        share: expected share of the validation episodes.
        seed: seed of the split.
    """
    training: list[Demonstration] = []
    validation: list[Demonstration] = []
    for demonstration in demonstrations:
        (validation if _uniform(demonstration.key, seed) < share else training).append(demonstration)
    if validation and not training:
        nearest = max(range(len(validation)), key=lambda index: _uniform(validation[index].key, seed))
        training.append(validation.pop(nearest))
    return training, validation


def _uniform(key: str, seed: int) -> float:
    """Uniform number in [0, 1) that depends on key and seed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:8], "big") / 2**64
