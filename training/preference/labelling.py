"""Labelling of preferences: sample candidate chunks at demonstrated states, score them under every reward, and pair them.

Candidates are sampled once and scored under all rewards, so that sets of different rewards differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...envs.errors import UnknownName
from ...envs.types import Array
from ...policies.adapters import NormStats
from ...policies.nora.weights import digest
from ..data.dataset import Chunking, ImageSource, normalise, normalised_chunks
from ..data.demonstrations import DataError, Demonstration
from ..engine.checkpoints import locked_folder
from ..engine.config import TrainingError
from ..engine.devices import training_device
from ..world_model import checkpoint
from ..world_model.latents import Latents
from ..world_model.model import WorldModel
from ..world_model.stage import action_bounds
from .pairs import Part, has_part, pair, start_labels, stored_rewards, write_part
from .rewards import REWARDS, Reward, Scores, imagine, score
from .sampler import Head, Sampler, generator_of, open_sampler


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """Settings of the labels."""

    rewards: tuple[str, ...] = tuple(REWARDS)
    candidates: int = 5
    """Chunks per state, as released."""
    margin: float = 0.0
    """Smallest difference between the rewards of chosen and rejected; equal rewards never make a pair."""
    seed: int = 0
    head: Head = "flow"
    """Head of the policy that is sampled."""
    temperature: float = 1.0
    """Sampling temperature of the token head."""
    every: int = 1
    """Stride over the states of a demonstration."""
    limit: int | None = None
    """Maximum number of states, spread over the demonstrations; None: all."""
    per_part: int = 32
    """States per file."""
    after_takeover: int | None = None
    """Only states at most so many steps after the expert took over from a policy, so that the policy itself reached them or
    nearly; other demonstrations give none. None: all states."""

    def validate(self) -> None:
        """Raise TrainingError or UnknownName for settings that give no labels."""
        for reward in self.rewards:
            if reward not in REWARDS:
                raise UnknownName("reward", reward, REWARDS)
        if not 0 < self.temperature < math.inf:
            raise TrainingError(
                f"temperature must be a number above 0, got {self.temperature:g}: at 0 all candidates are equal",
                option="--temperature",
                value=self.temperature,
            )
        if self.candidates < 2:
            raise TrainingError(f"a pair needs at least 2 candidates, got {self.candidates}", option="--candidates")

    def needs_world_model(self) -> bool:
        """Whether any reward compares with a goal."""
        return any(REWARDS[name].goal for name in self.rewards)


def chosen_rewards(given: Sequence[str] | None, folder: Path) -> tuple[str, ...]:
    """The rewards to score: those given, else those of the labels in the folder, else all."""
    return tuple(given or stored_rewards(folder) or REWARDS)


@dataclass(frozen=True, slots=True)
class LabelState:
    """One state to label."""

    demonstration: Demonstration
    image: int
    """Index among the demonstration's images."""
    step: int
    chunk: Array
    """[N, A] float32 the demonstrated chunk, normalised like the policy's actions."""


@dataclass(frozen=True)
class WorldModelScorer:
    """A world model with the latents and bounds that scoring needs."""

    world_model: WorldModel
    latents: Latents
    stats: Mapping[str, NormStats]
    """Suite -> bounds of the world model's actions."""


@dataclass(frozen=True)
class Labeller:
    """Samples, scores and pairs candidates."""

    settings: LabelSettings
    sampler: Sampler
    images: ImageSource
    scorer: WorldModelScorer | None

    def __post_init__(self) -> None:
        self.settings.validate()
        if self.settings.needs_world_model() and self.scorer is None:
            raise TrainingError(
                "rewards with a goal need a world model. Add --world-model DIR, or use --reward gta alone. "
                "To train one: nora-bench train world-model --data DIR --out DIR"
            )

    def states(self, demonstrations: Sequence[Demonstration]) -> list[LabelState]:
        """The states to label, in order: those with an image that is followed by a complete chunk without pushes."""
        states = [state for d in demonstrations for state in self._states_of(d)]
        if not states:
            raise DataError("no state to label: no demonstrations, or every chunk overlaps a push")
        limit = self.settings.limit or len(states)
        chosen = np.unique(np.linspace(0, len(states) - 1, min(limit, len(states))).round().astype(int))
        return [states[index] for index in chosen]

    def _states_of(self, demonstration: Demonstration) -> Iterator[LabelState]:
        steps = self.images.steps(demonstration)
        stats = {demonstration.suite: self.sampler.stats(demonstration.suite)}
        cuts = normalised_chunks(demonstration, steps, stats, Chunking(self.sampler.chunk, "drop"))
        taken = range(0, len(cuts.starts), self.settings.every)
        for row in taken:
            step = int(cuts.starts[row])
            if not self._wanted(demonstration, step):
                continue
            yield LabelState(demonstration, steps.index(step), step, cuts.actions[row].astype(np.float32))

    def _wanted(self, demonstration: Demonstration, step: int) -> bool:
        """Whether a state counts: demonstrations after a learner begin at its takeover."""
        most = self.settings.after_takeover
        return most is None or ("learner_steps" in demonstration.facts and step <= most)

    def label(self, states: Sequence[LabelState]) -> Part:
        """Candidates, scores and pairs of a batch of states."""
        images = np.stack([np.asarray(self.images.get(s.demonstration)[s.image]) for s in states])
        generators = [generator_of(self.settings.seed, s.demonstration.key, s.step) for s in states]
        texts = [s.demonstration.instruction for s in states]
        candidates = self.sampler.sample(images, texts, generators, self.settings.candidates)
        scored = [self._score(state, chunks) for state, chunks in zip(states, candidates, strict=True)]
        names = self.settings.rewards
        total = {name: _stacked(row[name].total for row in scored) for name in names}
        return Part(
            images=images,
            candidates=candidates,
            demonstrated=np.stack([state.chunk for state in states]),
            action=_stacked(row[names[0]].action for row in scored),
            goal={name: _stacked(row[name].goal for row in scored) for name in names},
            total=total,
            pairs={name: np.array([pair(row, self.settings.margin) for row in total[name]], np.int64) for name in names},
            states=[_described(state) for state in states],
        )

    def _score(self, state: LabelState, candidates: Array) -> dict[str, Scores]:
        """Reward -> scores of the candidates."""
        chunks, best = torch.from_numpy(candidates), torch.from_numpy(state.chunk)
        predicted: dict[int, Tensor] = {}
        scores = {}
        for name in self.settings.rewards:
            reward = REWARDS[name]
            if reward.goal and reward.unused_actions not in predicted:
                predicted[reward.unused_actions] = self._predicted_latents(state, candidates, reward.unused_actions)
            goal = self._goal(state, reward) if reward.goal else None
            scores[name] = score(reward, chunks, best, predicted.get(reward.unused_actions), goal)
        return scores

    def _predicted_latents(self, state: LabelState, candidates: Array, unused: int) -> Tensor:
        scorer = self._scorer()
        suite = state.demonstration.suite
        actions = self.sampler.stats(suite).unnormalise(candidates.astype(np.float64))
        actions = normalise(actions, scorer.stats[suite], clip=False).astype(np.float32)
        device = next(scorer.world_model.parameters()).device
        current = torch.from_numpy(np.array(scorer.latents.get(state.demonstration)[state.step])).float()
        return imagine(scorer.world_model, current.to(device), torch.from_numpy(actions).to(device), unused).cpu()

    def _goal(self, state: LabelState, reward: Reward) -> Tensor:
        latents = self._scorer().latents.get(state.demonstration)
        frame = reward.frame(state.step, len(state.chunk), len(latents) - 1)
        return torch.from_numpy(np.array(latents[frame])).float()

    def _scorer(self) -> WorldModelScorer:
        if self.scorer is None:
            raise TrainingError("rewards with a goal need a world model. Add --world-model DIR")
        return self.scorer


def label_all(
    labeller: Labeller,
    demonstrations: Sequence[Demonstration],
    folder: Path,
    about: Mapping[str, Any],
    report: Callable[[int], None] = lambda states: None,
) -> int:
    """Label the states missing in the folder; the number of states in it. Raises TrainingError if another process writes it.

    Args:
        labeller: samples and scores.
        demonstrations: source of the states.
        folder: folder of the labels; an interrupted run resumes.
        about: facts that decide the labels besides the settings (policy, world model); they must match those in the folder.
        report: called with the number of states of each finished file.
    """
    states = labeller.states(demonstrations)
    with locked_folder(folder):
        return _label_missing(labeller, states, folder, about, report)


def _label_missing(
    labeller: Labeller, states: Sequence[LabelState], folder: Path, about: Mapping[str, Any], report: Callable[[int], None]
) -> int:
    start_labels(
        folder, {**about, **asdict(labeller.settings), "rewards": list(labeller.settings.rewards), "states": len(states)}
    )
    size = labeller.settings.per_part
    for index, start in enumerate(range(0, len(states), size)):
        if not has_part(folder, index):
            write_part(folder, index, labeller.label(states[start : start + size]))
        report(len(states[start : start + size]))
    return len(states)


def _stored(settings: LabelSettings) -> dict[str, Any]:
    """The settings as labels.json has them: one at its default that older labels lack is left out."""
    stored = asdict(settings)
    return {name: value for name, value in stored.items() if name != "after_takeover" or value is not None}


def _stacked(scores: Iterable[Tensor]) -> Array:
    """[S, C] float32 of the scores [C] of S states."""
    return np.stack([values.numpy() for values in scores]).astype(np.float32)


def _described(state: LabelState) -> dict[str, Any]:
    demonstration = state.demonstration
    return {
        "key": demonstration.key,
        "step": state.step,
        "suite": demonstration.suite,
        "task": demonstration.task,
        "instruction": demonstration.instruction,
    }


def open_labeller(
    settings: LabelSettings,
    policy: str,
    policy_images: Callable[[int], ImageSource],
    world_model: Path | None,
    frames: Callable[[int], ImageSource],
    latents: Path,
) -> tuple[Labeller, dict[str, Any]]:
    """A labeller, and the facts that decide its labels besides the settings.

    Args:
        settings: settings of the labels.
        policy: checkpoint to sample.
        policy_images: size -> source of the policy's images.
        world_model: folder of a world model; None if no reward needs one.
        frames: size -> source of the world model's frames, one for every step.
        latents: cache of encoded frames.
    """
    device = str(training_device())
    sampler = open_sampler(policy, settings.head, temperature=settings.temperature, device=device)
    scorer = _scorer(world_model, frames, latents, device) if world_model and settings.needs_world_model() else None
    about = {"policy": policy, "policy_sha256": sampler.digest, **sampler.facts()}
    if world_model and scorer:
        about |= {"world_model": str(world_model), "world_model_sha256": digest([world_model / checkpoint.WEIGHTS])}
    return Labeller(settings, sampler, policy_images(sampler.model.config.image_size), scorer), about


def _scorer(folder: Path, frames: Callable[[int], ImageSource], latents: Path, device: str) -> WorldModelScorer:
    world_model = checkpoint.load(folder, device)
    found = Latents(latents, world_model, frames(world_model.config.image_size))
    return WorldModelScorer(world_model, found, action_bounds(checkpoint.settings(folder)["norm_stats"]))
