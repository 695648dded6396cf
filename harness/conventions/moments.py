"""Moments of expert episodes: an observation, and the actions that the expert executed from it on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.base import EnvObservation, EpisodeSpec
from ...envs.paths import ensure_cache_home
from ...envs.safe_io import atomic_write, parse_json, read_arrays
from ...envs.types import Array
from ...policies.base import Observation, Policy

HORIZON = 32
"""Actions of the expert that are kept from a moment on; longer chunks are compared so far."""
FILE_FORMAT = 1

Tick = Callable[[int], None]
"""Reports that so many more episodes or queries are done."""
RunEpisodes = Callable[[Any, Policy, Sequence[EpisodeSpec], Callable[[Any], None]], None]
"""`episodes.run_episodes`: given a resolved run, runs other episodes with another policy and passes each record on."""


def policy_log() -> Path:
    """Where the traceback of a diagnosed policy's error is kept: folders of its episodes are temporary."""
    return ensure_cache_home() / "diagnose.log"


@dataclass(frozen=True, slots=True)
class Moment:
    """One observation of an expert's episode."""

    observation: Observation
    expert: Array
    """[HORIZON, action size] the expert's actions from here on; NaN beyond the end of the episode."""


def padded(actions: Array, rows: int = HORIZON) -> Array:
    """[rows, action size]: the first rows of a chunk, NaN where it has fewer."""
    out = np.full((rows, actions.shape[1]), np.nan)
    out[: min(rows, len(actions))] = actions[:rows]
    return out


def episodes_of(moments: Sequence[Moment]) -> list[str]:
    """The key of each moment's episode."""
    return [moment.observation.key for moment in moments]


def write_moments(path: Path, moments: Sequence[Moment]) -> None:
    """Store moments without privileged state as one .npz file."""
    arrays: dict[str, Array] = {"expert": np.stack([moment.expert for moment in moments])}
    for part in ("images", "proprio"):
        for name in getattr(moments[0].observation, part):
            arrays[f"{part}.{name}"] = np.stack([getattr(moment.observation, part)[name] for moment in moments])
    facts = {"format": FILE_FORMAT, "moments": [_facts(moment.observation) for moment in moments]}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with atomic_write(path, suffix=".npz") as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def _facts(observation: Observation) -> dict[str, object]:
    return {"spec": asdict(observation.spec), "step": observation.step, "instruction": observation.instruction}


def read_moments(path: Path) -> list[Moment]:
    """The moments that `write_moments` stored. Raises ValueError, KeyError, TypeError or OSError for other files."""
    arrays = read_arrays(path)
    facts = parse_json(arrays["facts"].tobytes())
    if facts["format"] != FILE_FORMAT:
        raise ValueError(f"{path}: format {facts['format']}")
    names = [name.split(".", 1) for name in arrays if "." in name]
    moments = []
    for number, (fact, expert) in enumerate(zip(facts["moments"], arrays["expert"], strict=True)):
        parts: dict[str, dict[str, Array]] = {"images": {}, "proprio": {}}
        for part, name in names:
            parts[part][name] = arrays[f"{part}.{name}"][number]
        seen = EnvObservation(images=parts["images"], proprio=parts["proprio"])
        observation = Observation(EpisodeSpec(**fact["spec"]), 0, int(fact["step"]), str(fact["instruction"]), seen)
        moments.append(Moment(observation, expert))
    return moments
