"""Policies without a model: `zero` stands still, `random` samples actions, `replay` repeats recorded ones.

They calibrate a score: a task that `zero` or `random` solves is not a test. All ignore observations and need no image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.errors import PolicyError, StoreError
from ..envs.safe_io import file_digest
from ..results.store.reader import EPISODES_FILE, action_file, read_action_file, read_episodes
from ..results.store.records import EpisodeRecord
from .base import ActionChunk, BasePolicy, Observation, PolicyContext, PolicyRequestError


class Zero(BasePolicy):
    """Commands no motion. In LIBERO the end effector stays where it is and the gripper as it is."""

    def __init__(self, chunk: int = 1) -> None:
        self.chunk_size = _positive(chunk)

    def act_one(self, observation: Observation) -> ActionChunk:
        return ActionChunk(np.zeros((self.chunk_size, self.context.action_size)))

    def fingerprint(self) -> Mapping[str, Any]:
        return {**super().fingerprint(), "chunk": self.chunk_size}


class Random(BasePolicy):
    """Uniform actions in [-1, 1), sampled from the episode's own generator."""

    stochastic = True

    def __init__(self, chunk: int = 1) -> None:
        self.chunk_size = _positive(chunk)

    def act_one(self, observation: Observation) -> ActionChunk:
        return ActionChunk(observation.rng().uniform(-1.0, 1.0, (self.chunk_size, self.context.action_size)))

    def fingerprint(self) -> Mapping[str, Any]:
        return {**super().fingerprint(), "chunk": self.chunk_size}


class Replay(BasePolicy):
    """Repeats recorded actions, open loop: each episode's own from a run's folder, or one file for all.

    Where a recording ends before the episode does, zeros follow, with chunk status `cut`.
    """

    tags = ("replayed",)

    def __init__(self, run: Path | None = None, file: Path | None = None) -> None:
        if (run is None) == (file is None):
            raise PolicyRequestError("policy replay takes either run=FOLDER or file=ACTIONS.npy: add --policy-arg run=runs/NAME")
        self.run = run
        self.stochastic = run is not None
        self._files = {record.key: path for record, path in recorded(run)} if run else {}
        self._single = _action_file(file) if file else None
        self._replayed: dict[str, np.ndarray] = {}

    def act_one(self, observation: Observation) -> ActionChunk:
        rest = self._actions(observation.key)[observation.step :]
        if len(rest) == 0:
            return ActionChunk(np.zeros((1, self.context.action_size)), status="cut")
        return ActionChunk(rest)

    def end_episode(self, key: str) -> None:
        self._replayed.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        digest = hashlib.sha256()
        if self._single is not None:
            digest.update(self._single.tobytes())
        for key, path in sorted(self._files.items()):
            digest.update(f"{key} {file_digest(path)}\n".encode())
        return {**super().fingerprint(), "actions_sha256": digest.hexdigest()}

    def setup(self, context: PolicyContext) -> None:
        super().setup(context)
        if self._single is not None:
            _check_width(self._single, context, "the action file")

    def _actions(self, key: str) -> np.ndarray:
        if self._single is not None:
            return self._single
        if key not in self._replayed:
            if key not in self._files:
                raise PolicyError(f"{self.run} holds no actions for {key}; evaluate the run's own tasks, seeds and protocol")
            self._replayed[key] = recorded_actions(self._files[key])
            _check_width(self._replayed[key], self.context, f"the recording of {key}")
        return self._replayed[key]


def _positive(chunk: int) -> int:
    if chunk < 1:
        raise PolicyRequestError(f"chunk must be at least 1, not {chunk}", option="--policy-arg", value=chunk)
    return chunk


def recorded(run: Path) -> list[tuple[EpisodeRecord, Path]]:
    """The episodes of a run that have actions, and their files. Raises PolicyRequestError where the folder is no run."""
    try:
        records = read_episodes(run).records.values()
        files = [(record, action_file(run, record)) for record in records if record.actions]
    except StoreError as error:
        raise PolicyRequestError(f"{run} is not a run that can be replayed: {error}", value=run) from None
    if not records:
        raise PolicyRequestError(f"{run} is not a run that can be replayed: no episodes in {run / EPISODES_FILE}", value=run)
    return files


def _action_file(path: Path) -> np.ndarray:
    try:
        return recorded_actions(path)
    except PolicyError as error:
        raise PolicyRequestError(str(error), option="--policy-arg", value=path) from None


def recorded_actions(path: Path) -> np.ndarray:
    """[steps, action size] float64. Raises PolicyError for anything else; refuses files that would run code."""
    try:
        return read_action_file(path)
    except StoreError as error:
        raise PolicyError(str(error)) from None


def _check_width(actions: np.ndarray, context: PolicyContext, what: str) -> None:
    if actions.shape[1] != context.action_size:
        raise PolicyError(f"{what} has {actions.shape[1]} numbers per step, this environment takes {context.action_size}")
