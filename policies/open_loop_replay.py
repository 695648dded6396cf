"""The policy `blind`: the scripted expert's actions from another initial state of the same task, replayed open loop.

Its score is that of a policy without observations. Initial states of a task differ by centimetres or only by
millimetres, so this floor is far from zero, and a success rate below it means little.

The recordings in `blind_actions.npz` are two successful episodes per task of the four 10-task suites, made by

    nora-bench run --suite libero --init-states 48,49 --policy scripted --out runs/for-blind
    python -m nora_bench.policies.open_loop_replay runs/for-blind policies/blind_actions.npz
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.base import ObservationSpec
from ..envs.errors import PolicyError
from .base import ActionChunk, BasePolicy, Observation
from .baselines import recorded, recorded_actions

Recordings = Mapping[tuple[str, int], Mapping[str, np.ndarray]]
"""(suite, task) -> initial state (`48`, `fresh7`) -> actions [steps, action size]."""


class OpenLoopReplay(BasePolicy):
    """The expert's actions from another initial state of the same task; then no motion."""

    observation_spec = ObservationSpec()
    tags = ("blind",)

    def __init__(self, run: Path | None = None) -> None:
        """Read the recordings.

        Args:
            run: a run whose successful episodes are replayed instead of the packaged ones.
        """
        self._recordings = from_run(run) if run else packaged()

    def act_one(self, observation: Observation) -> ActionChunk:
        """The rest of the recording as one chunk."""
        rest = self._chosen(observation)[observation.step :]
        if len(rest):
            return ActionChunk(rest)
        last = self._chosen(observation)[-1]
        return ActionChunk(np.append(np.zeros(len(last) - 1), last[-1])[None])

    def _chosen(self, observation: Observation) -> np.ndarray:
        spec = observation.spec
        recorded = self._recordings.get((spec.suite, spec.task_id), {})
        others = [actions for state, actions in recorded.items() if state != f"{spec.init_set}{spec.init_state}"]
        if not others:
            raise PolicyError(
                f"no recording of another initial state of {spec.suite} task {spec.task_id}. Make some: nora-bench run "
                f"--suite {spec.suite} --policy scripted --init-states 48,49, and pass --policy-arg run=RUN"
            )
        return others[0]

    def fingerprint(self) -> Mapping[str, Any]:
        """The class, and a digest of the recordings."""
        digest = hashlib.sha256()
        for task, states in sorted(self._recordings.items()):
            for state, actions in _ordered(states):
                digest.update(f"{task} {state}".encode() + actions.tobytes())
        return {**super().fingerprint(), "actions_sha256": digest.hexdigest()}


def from_run(run: Path) -> Recordings:
    """The successful episodes of a run."""
    out: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for record, path in recorded(run):
        if record.success:
            out.setdefault((record.suite, record.task_id), {})[f"{record.init_set}{record.init_state}"] = recorded_actions(path)
    return out


def packaged() -> Recordings:
    """The recordings that ship with nora-bench."""
    out: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    with (
        as_file(files("nora_bench.policies").joinpath("blind_actions.npz")) as path,
        np.load(path, allow_pickle=False) as archive,
    ):
        for name in archive.files:
            suite, task, state = name.split("/")
            out.setdefault((suite, int(task)), {})[state] = archive[name].astype(np.float64)
    return out


def _ordered(states: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """States with their actions, by number: `9`, `10`, `fresh3`."""
    return sorted(states.items(), key=lambda item: (len(item[0]), item[0]))


def write(recordings: Recordings, path: Path) -> None:
    """Write recordings as one compact archive, single precision."""
    arrays: dict[str, Any] = {
        f"{suite}/{task}/{state}": actions.astype(np.float32)
        for (suite, task), states in sorted(recordings.items())
        for state, actions in _ordered(states)
    }
    with path.open("wb") as out:
        np.savez_compressed(out, **arrays)


if __name__ == "__main__":
    write(from_run(Path(sys.argv[1])), Path(sys.argv[2]))
