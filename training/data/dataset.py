"""Training examples: image, instruction, and the normalised action chunk that follows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from ...envs.types import Array
from ...policies.adapters import NormStats
from . import action_stats
from .demonstrations import DataError, Demonstration
from .scene_targets import SceneCamera, SceneTargets, camera_of, targets


class ImageSource(Protocol):
    """Images of demonstrations: rendered from states (`images.SimImages`) or stored with the data (`stored_images`)."""

    def steps(self, demonstration: Demonstration) -> range:
        """Steps that have an image."""
        ...

    def get(self, demonstration: Demonstration) -> Array:
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
    """Of every step."""


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
    ) -> None:
        """Cut and normalise all action chunks; images are read on access.

        Args:
            demonstrations: training or validation episodes; see `split`.
            images: their images.
            stats: suite -> bounds of the actions.
            chunking: how episodes are cut.
            clip: see `action_stats.normalise`.
            scenes: add the targets of the auxiliary losses; needs demonstrations with states and models.
        """
        self.chunking = chunking or Chunking()
        self.images = images
        self._clip, self._stats, self._scenes = clip, stats, scenes
        self._mapped: dict[int, Array] = {}
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
        examples = [self[int(index)] for index in indices]
        return Batch(
            np.stack([example.image for example in examples]),
            [example.instruction for example in examples],
            np.stack([example.chunk for example in examples]),
            np.stack([example.mask for example in examples]),
            self._targets(indices, [example.step for example in examples]) if self._scenes else None,
        )

    def _targets(self, indices: Sequence[int] | Array, steps: Sequence[int]) -> SceneTargets:
        episodes = [self.episodes[self.find(int(index))[0]].targets for index in indices]
        rows = [(t.places[step], t.kinds[step], t.facts[step]) for t, step in zip(episodes, steps, strict=True) if t]
        return SceneTargets(*(np.stack(column) for column in zip(*rows, strict=True)))

    def _images_of(self, number: int) -> Array:
        """An episode's images, looked up once; memory-mapped."""
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
    cuts = raw_chunks(demonstration, steps, chunking)
    actions = action_stats.normalise(cuts.actions, stats[demonstration.suite], clip=clip)
    return replace(cuts, actions=fill_released(actions, cuts.valid) if chunking.pad == "released" else actions)


def raw_chunks(demonstration: Demonstration, steps: Sequence[int], chunking: Chunking) -> Chunks:
    """The chunks before normalisation, for statistics of relative actions."""
    cuts = cut(action_stats.openings(demonstration.labels), steps, chunking, masked=demonstration.pushed)
    if not chunking.delta:
        return cuts
    return replace(cuts, actions=subtract_state(cuts.actions, demonstration.robot_states[cuts.starts]))


def statistics(demonstrations: Iterable[Demonstration], chunking: Chunking | None = None) -> dict[str, dict[str, Any]]:
    """Suite -> `action_stats.measure` of the labels, gripper as opening; of relative actions with `chunking.delta`."""
    chunking = chunking or Chunking()
    by_suite: dict[str, list[Array]] = {}
    for demonstration in demonstrations:
        if chunking.delta:
            cuts = raw_chunks(demonstration, range(len(demonstration)), chunking)
            actions = cuts.actions[cuts.valid]
        else:
            actions = action_stats.openings(demonstration.labels)
        by_suite.setdefault(demonstration.suite, []).append(actions)
    return {suite: action_stats.measure(episodes) for suite, episodes in by_suite.items()}


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
    delta: bool = False
    """Subtract the first six numbers of the current state from every action, for sets of absolute poses."""


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


def subtract_state(chunks: Array, states: Array) -> Array:
    """[chunks, length, action size]: the first six numbers relative to [chunks, 6 or more] states; gripper untouched."""
    relative = chunks.copy()
    relative[..., :6] -= states[:, None, :6]
    return relative


def fill_released(normalised: Array, valid: Array) -> Array:
    """The released padding, applied after normalisation: zeros for motion, gripper unchanged."""
    filled = normalised.copy()
    filled[~valid, :-1] = 0.0
    return filled
