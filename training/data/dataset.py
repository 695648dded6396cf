"""Training examples: image, instruction, and the normalised action chunk that follows.

Actions are scaled to [-1, 1] by statistics in the layout that policies load. The gripper is not scaled: LIBERO's command (-1
open, +1 close) becomes the opening that the family predicts (1 open, 0 closed).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from ...envs.types import Array
from ...policies.adapters import NormStats
from ..engine.order import MixtureMember, mixture_of
from .demonstrations import DataError, Demonstration
from .scene_targets import SceneCamera, SceneTargets, camera_of, targets


class EpisodeImages(Protocol):
    """Images of an episode: an array, or a sequence that decodes them on access."""

    def __getitem__(self, index: Any, /) -> Array: ...


class ImageSource(Protocol):
    """Images of demonstrations: rendered from states (`images.SimImages`) or stored with the data (`stored_images`)."""

    def steps(self, demonstration: Demonstration) -> range:
        """Steps that have an image."""
        ...

    def get(self, demonstration: Demonstration) -> EpisodeImages:
        """[images, size, size, 3] uint8, one for each of those steps."""
        ...


@dataclass(frozen=True, slots=True)
class Example:
    """Model input at one step of a demonstration, and the action chunk to learn."""

    image: Array
    """[size, size, 3] uint8, as in an evaluation."""
    instruction: str
    chunk: Array
    """[length, action size] float32, normalised; the gripper is the opening, 1 open and 0 closed."""
    mask: Array
    """[length] bool: actions within the episode."""
    key: str
    """Key of the demonstration."""
    step: int


@dataclass(frozen=True, slots=True)
class Batch:
    """B examples, stacked."""

    images: Array
    """[B, size, size, 3] uint8."""
    instructions: Sequence[str]
    actions: Array
    """[B, N, action size] float32, normalised."""
    mask: Array
    """[B, N] bool: actions within the episode."""
    targets: SceneTargets | None = None
    """Targets of the auxiliary losses; None where the recipe has none."""


@dataclass(frozen=True, slots=True)
class _Episode:
    demonstration: Demonstration
    images: Array
    """[chunks] index of the image of each chunk."""
    starts: Array
    chunks: Array
    valid: Array
    targets: SceneTargets | None
    """Scene targets of every step."""


class Dataset:
    """Examples with random access: one for each image that is followed by a chunk without masked steps."""

    def __init__(
        self,
        demonstrations: Iterable[Demonstration],
        images: ImageSource,
        stats: Mapping[str, NormStats],
        chunking: Chunking | None = None,
        *,
        clip: bool = True,
        scenes: bool = False,
        weights: Mapping[str, float] | None = None,
        threads: int = 1,
    ) -> None:
        """Cut and normalise all action chunks; images are read on access.

        Args:
            demonstrations: training or validation episodes; see `split`.
            images: their images.
            stats: suite -> bounds of the actions.
            chunking: how episodes are cut.
            clip: see `normalise`.
            scenes: add the targets of the auxiliary losses; needs demonstrations with states and models.
            weights: name of a set -> factor of its share in a mixture; see `mixture`. None: all examples count alike.
            threads: threads that read the images of a batch.
        """
        self.chunking = chunking or Chunking()
        self.images = images
        self._clip, self._stats, self._scenes, self._weights = clip, stats, scenes, weights
        self._map = ThreadPoolExecutor(threads).map if threads > 1 else map
        self._mapped: dict[int, EpisodeImages] = {}
        self._cameras: dict[str, SceneCamera] = {}
        self.episodes = [self._cut(demonstration) for demonstration in demonstrations]
        counts = [len(episode.starts) for episode in self.episodes]
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        if not len(self):
            raise DataError("no chunk to learn from: every one overlaps a push, or there are no demonstrations")

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index: int) -> Example:
        number, row = self.find(index)
        episode = self.episodes[number]
        return Example(
            image=np.asarray(self._images_of(number)[episode.images[row]]),
            instruction=episode.demonstration.instruction,
            chunk=episode.chunks[row],
            mask=episode.valid[row],
            key=episode.demonstration.key,
            step=int(episode.starts[row]),
        )

    def batch(self, indices: Sequence[int] | Array) -> Batch:
        """The examples at these indices, stacked."""
        examples = [*self._map(self.__getitem__, map(int, indices))]
        return Batch(
            np.stack([example.image for example in examples]),
            [example.instruction for example in examples],
            np.stack([example.chunk for example in examples]),
            np.stack([example.mask for example in examples]),
            self._targets(indices, [example.step for example in examples]) if self._scenes else None,
        )

    @cached_property
    def mixture(self) -> Sequence[MixtureMember]:
        """The data sets with their shares; empty without weights. Raises InputError."""
        if not self._weights:
            return ()
        names = [episode.demonstration.data_set for episode in self.episodes]
        return mixture_of(names, np.diff(self._first), self._weights)

    def _targets(self, indices: Sequence[int] | Array, steps: Sequence[int]) -> SceneTargets:
        episodes = [self.episodes[self.find(int(index))[0]].targets for index in indices]
        rows = [(t.places[step], t.kinds[step], t.facts[step]) for t, step in zip(episodes, steps, strict=True) if t]
        return SceneTargets(*(np.stack(column) for column in zip(*rows, strict=True)))

    def _images_of(self, number: int) -> EpisodeImages:
        """An episode's images, looked up once; memory-mapped, or decoded on access."""
        if number not in self._mapped:
            self._mapped[number] = self.images.get(self.episodes[number].demonstration)
        return self._mapped[number]

    def find(self, index: int) -> tuple[int, int]:
        """(index into `episodes`, row of its chunks) of an example. Raises IndexError beyond the last."""
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        return number, index - int(self._first[number])

    def _cut(self, demonstration: Demonstration) -> _Episode:
        steps = self.images.steps(demonstration)
        cuts = normalised_chunks(demonstration, steps, self._stats, self.chunking, clip=self._clip)
        places = np.searchsorted(np.asarray(steps), cuts.starts)
        scene = targets(demonstration, self._camera(demonstration)) if self._scenes else None
        return _Episode(demonstration, places, cuts.starts, cuts.actions.astype(np.float32), cuts.valid, scene)

    def _camera(self, demonstration: Demonstration) -> SceneCamera:
        """The main camera, one per task: it is fixed, and parsing a model is slow."""
        name = f"{demonstration.suite}/{demonstration.task}"
        if name not in self._cameras:
            self._cameras[name] = camera_of(demonstration.model)
        return self._cameras[name]


def normalised_chunks(
    demonstration: Demonstration, steps: Sequence[int], stats: Mapping[str, NormStats], chunking: Chunking, *, clip: bool = True
) -> Chunks:
    """The normalised chunks of a demonstration's labels that begin at those steps, without those that overlap a push."""
    if demonstration.suite not in stats:
        raise DataError(f"no statistics for {demonstration.suite}; known: {', '.join(stats)}")
    cuts = cut(openings(demonstration.labels), steps, chunking, masked=demonstration.pushed)
    actions = normalise(cuts.actions, stats[demonstration.suite], clip=clip)
    return replace(cuts, actions=fill_released(actions, cuts.valid) if chunking.pad == "released" else actions)


def statistics(demonstrations: Iterable[Demonstration]) -> dict[str, dict[str, Any]]:
    """Suite -> `measure` of the labels, gripper as opening."""
    by_suite: dict[str, list[Array]] = {}
    for demonstration in demonstrations:
        by_suite.setdefault(demonstration.suite, []).append(openings(demonstration.labels))
    return {suite: measure(episodes) for suite, episodes in by_suite.items()}


PadActions = Literal["repeat", "still", "released", "drop"]


@dataclass(frozen=True, slots=True)
class Chunking:
    """Cutting of episodes into chunks."""

    length: int = 5
    """Actions per chunk."""
    pad: PadActions = "repeat"
    """Actions after an episode's last one. `repeat`: the last action (NORA-1.5's LeRobot loader). `still`: no motion, gripper
    unchanged. `released`: normalised zeros, which are the middle of the range rather than no motion, gripper unchanged (NORA's
    RLDS loader). `drop`: omit such chunks (the post-training loader)."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks of one episode."""

    starts: Array
    """[chunks] int: first step of each."""
    actions: Array
    """[chunks, length, action size] float64, not normalised."""
    valid: Array
    """[chunks, length] bool: actions within the episode; the others are padding."""


def cut(actions: Array, steps: Sequence[int] | Array, chunking: Chunking, *, masked: Array | None = None) -> Chunks:
    """The chunks that begin at the given steps.

    Args:
        actions: [episode's steps, action size].
        steps: possible first steps.
        chunking: length and padding.
        masked: [episode's steps] bool, steps that no chunk may contain (pushes).
    """
    starts = np.asarray(steps, int)
    index = starts[:, None] + np.arange(chunking.length)
    valid = index < len(actions)
    index = np.minimum(index, len(actions) - 1)
    usable = valid.all(axis=1) if chunking.pad == "drop" else np.ones(len(starts), bool)
    if masked is not None:
        usable &= ~(masked[index] & valid).any(axis=1)
    chunks = actions[index]
    if chunking.pad == "still":
        chunks[~valid, :-1] = 0.0
    return Chunks(starts[usable], chunks[usable], valid[usable])


def fill_released(normalised: Array, valid: Array) -> Array:
    """The released padding, applied after normalisation: zeros for motion, gripper unchanged."""
    filled = normalised.copy()
    filled[~valid, :-1] = 0.0
    return filled


STATISTICS_FILE = "norm_stats.json"
"""File beside a checkpoint's weights."""
Bounds = Literal["quantiles", "extremes"]
"""`quantiles`: 1st and 99th percentile, which the papers use. `extremes`: minimum and maximum (NORA's LeRobot loader)."""


def openings(actions: Array) -> Array:
    """LIBERO's actions with the opening (1 open, 0 closed) instead of the gripper command."""
    opened = np.array(actions, np.float64)
    opened[..., -1] = 1.0 - np.clip(opened[..., -1], 0.0, 1.0)
    return opened


def measure(episodes: Iterable[Array]) -> dict[str, Any]:
    """JSON-able statistics of actions [steps, action size] of all episodes, as `norm_stats.json` has them for one data set."""
    arrays = [np.asarray(actions, np.float64) for actions in episodes]
    if not arrays or not sum(map(len, arrays)):
        raise DataError("no actions to compute statistics from")
    actions = np.concatenate(arrays)
    rows = {
        "mean": actions.mean(axis=0),
        "std": actions.std(axis=0),
        "min": actions.min(axis=0),
        "max": actions.max(axis=0),
        "q01": np.quantile(actions, 0.01, axis=0),
        "q99": np.quantile(actions, 0.99, axis=0),
    }
    size = actions.shape[1]
    action = {**{name: row.tolist() for name, row in rows.items()}, "mask": [True] * (size - 1) + [False]}
    return {"action": action, "num_transitions": len(actions), "num_trajectories": len(arrays)}


def bounds_of(measured: Mapping[str, Any], which: Bounds = "quantiles", *, floor: float = 0.0) -> NormStats:
    """Bounds that map to -1 and +1.

    Args:
        measured: from `measure`, or one entry of a `norm_stats.json`.
        which: see `Bounds`.
        floor: smallest half range, so that a nearly constant component is not amplified.
    """
    action = measured["action"]
    low, high = (np.array(action[name], float) for name in (("q01", "q99") if which == "quantiles" else ("min", "max")))
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, floor)
    mask = np.array(action["mask"], bool)
    return NormStats(np.where(mask, middle - half, low), np.where(mask, middle + half, high), mask)


def normalise(actions: Array, stats: NormStats, *, clip: bool = True) -> Array:
    """[..., action size] in [-1, 1], the inverse of `NormStats.unnormalise`; a component without a range becomes 0.

    Args:
        actions: in the data set's units.
        stats: the bounds; components outside their mask stay unchanged.
        clip: clip to [-1, 1] (RLDS training); the LeRobot loader of NORA-1.5 does not.
    """
    span = stats.high - stats.low
    safe = np.where(span > 0, span, 1.0)
    scaled = np.where(span > 0, 2.0 * (actions - stats.low) / safe - 1.0, 0.0)
    return np.where(stats.mask, np.clip(scaled, -1.0, 1.0) if clip else scaled, actions)


def write_statistics(path: Path, measured: Mapping[str, Mapping[str, Any]], stats: Mapping[str, NormStats] | None = None) -> None:
    """Write a `norm_stats.json` with one entry per data set; `stats` replace the measured q01 and q99."""
    table = {name: dict(entry) for name, entry in measured.items()}
    for name, used in (stats or {}).items():
        table[name]["action"] = {**table[name]["action"], "q01": used.low.tolist(), "q99": used.high.tolist()}
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
