"""Checkpoints of LeRobot policies (ACT, π0, π0.5, π0-FAST, SmolVLA ...) through the package `lerobot`.

`lerobot` (0.4) and nora-bench want different versions of things, so it has an interpreter of its own, which serves the policy
(`nora-bench serve --policy lerobot`, docs/guide/other_models.md). Observations are processed one by one, with noise sampled
from the episode's key: a chunk depends on nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.base import ObservationSpec
from ..envs.errors import PolicyError
from ..envs.safe_io import file_digest
from .base import ActionChunk, BasePolicy, Observation, PolicyRequestError
from .nora.checkpoint import is_hub_id
from .remote.messages import STATE_SPEC, libero_state

STATE = "observation.state"
STATE_SIZE = 8
"""Numbers of LIBERO's state, as its LeRobot data sets have it."""
ACTION = "action"
IDENTITY = "IDENTITY"
MODES = {"MEAN_STD": ("mean", "std"), "MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}
"""LeRobot's way of scaling -> the statistics that it takes."""
DETERMINISTIC = frozenset({"act"})
"""Types without sampling noise."""


class LeRobotPolicy(BasePolicy):
    """A LeRobot checkpoint: a folder, or a hub id."""

    def __init__(self, path: str, device: str = "auto", primary: str | None = None, wrist: str | None = None) -> None:
        """Load it.

        Args:
            path: folder with config.json, model.safetensors and the processors, or a hub id.
            device: `auto`, `cpu`, `cuda` ...
            primary: feature of the third-person image; None guesses by name.
            wrist: feature of the wrist image; None guesses by name.
        """
        self._folder = _folder(path)
        policy, before, after = _load(self._folder, device)
        self._scale = scale_of(after.steps, str(path))
        self._policy, self._before, self._after = policy, before, after
        config = policy.config
        if config.n_obs_steps > 1:
            raise PolicyError(f"{path} needs the last {config.n_obs_steps} observations, and only the newest is given")
        self._features = _cameras(list(config.image_features), primary, wrist)
        self._state = STATE in config.input_features
        _check_state(config.input_features)
        self.observation_spec = ObservationSpec(
            cameras=tuple(self._features),
            image_size=_side(config.image_features),
            proprio=self._state,
            proprio_spec=STATE_SPEC if self._state else (),
        )
        self.stochastic = config.type not in DETERMINISTIC
        self.chunk_size = int(getattr(config, "chunk_size", 1))

    def act_one(self, observation: Observation) -> ActionChunk:
        import torch

        inputs: dict[str, Any] = {"task": observation.instruction}
        for camera, feature in self._features.items():
            image = torch.from_numpy(np.array(observation.env_observation.images[camera]))
            inputs[feature] = image.permute(2, 0, 1).float().div(255)[None]
        if self._state:
            inputs[STATE] = torch.from_numpy(libero_state(observation.env_observation.proprio)).float()[None]
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(int(observation.rng().integers(2**63)))
            actions = self._after(self._policy.predict_action_chunk(self._before(inputs))[0])
        size = self.context.action_size
        return ActionChunk(actions.detach().cpu().numpy().astype(np.float64).reshape(-1, actions.shape[-1])[:, :size])

    def fingerprint(self) -> Mapping[str, Any]:
        import importlib.metadata

        versions = {name: importlib.metadata.version(name) for name in ("lerobot", "torch")}
        weights = {path.name: file_digest(path) for path in sorted(self._folder.glob("*.safetensors"))}
        kind = {"type": self._policy.config.type, "device": str(self._policy.config.device)}
        suites = self.context.suites
        scale = {"statistics": dict.fromkeys(suites, self._scale["name"]), "statistics_from": dict.fromkeys(suites, self._scale)}
        shape = {"chunk": self.chunk_size, "weights": weights, "features": self._features}
        return {**super().fingerprint(), **kind, **shape, **scale, **versions}


def _folder(path: str) -> Path:
    """The checkpoint's folder; a hub id is downloaded."""
    if Path(path).is_dir():
        return Path(path)
    if not is_hub_id(path):
        raise PolicyRequestError(f"checkpoint not found: {path}. Name a folder or a hub id: OWNER/NAME", value=path)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(path))


def _load(folder: Path, device: str) -> tuple[Any, Any, Any]:
    """Policy, pre-processor and post-processor."""
    try:
        from lerobot.configs.policies import PreTrainedConfig  # pyright: ignore[reportMissingImports]  in its own interpreter
        from lerobot.policies.factory import (  # pyright: ignore[reportMissingImports]
            get_policy_class,
            make_pre_post_processors,
        )
    except ImportError:
        raise PolicyError(
            "LeRobot checkpoints need the package lerobot in an interpreter of their own; docs/guide/other_models.md says how"
        ) from None
    config = PreTrainedConfig.from_pretrained(folder)
    if device != "auto":
        config.device = device
    try:
        policy = get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)  # else it only warns
    except RuntimeError as error:
        raise PolicyError(f"the weights in {folder} are not those of its config.json: {error}") from None
    where = {"device_processor": {"device": config.device}}
    before, after = make_pre_post_processors(config, str(folder), preprocessor_overrides=where)
    return policy.eval(), before, after


def scale_of(steps: Sequence[Any], name: str) -> dict[str, str]:
    """Statistics and mode that scale a checkpoint's actions: JSON-able, as `nora.statistics.Chosen.facts`.

    LeRobot's un-normaliser lets actions through as they are where it has no statistics for them; here that is an error.

    Args:
        steps: of the post-processor.
        name: of the checkpoint, for messages.

    Raises:
        PolicyError: an un-normaliser without the numbers that its mode needs.
    """
    found = {"name": "checkpoint", "source": "post-processor", "by": "suite"}
    for step in steps:
        modes = {_word(kind): _word(mode) for kind, mode in (getattr(step, "norm_map", None) or {}).items()}
        if (mode := modes.get(ACTION.upper(), IDENTITY)) == IDENTITY:
            continue
        numbers = (getattr(step, "stats", None) or {}).get(ACTION) or {}
        lacking = [number for number in MODES.get(mode, ()) if number not in numbers]
        if mode not in MODES or lacking:
            raise PolicyError(
                f"{name} scales actions by {mode}, and its post-processor lacks {' and '.join(lacking) or 'what that needs'}; "
                "save the checkpoint with its data's statistics (LeRobot: make_pre_post_processors(config, dataset_stats=...))"
            )
        used = {number: np.asarray(numbers[number], np.float64).tolist() for number in MODES[mode]}
        digest = hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()
        return {**found, "numbers": "/".join(MODES[mode]), "sha256": digest}
    return {**found, "numbers": "none"}


def _word(value: Any) -> str:
    return str(getattr(value, "value", value)).upper()


def _cameras(features: list[str], primary: str | None, wrist: str | None) -> dict[str, str]:
    """Camera -> feature. Raises PolicyRequestError where the names leave it open."""
    found = [name for name in features if "empty_camera" not in name]
    held = wrist or next((name for name in found if "wrist" in name or name.endswith("image2")), None)
    seen = primary or next((name for name in found if name != held), None)
    given = {camera: name for camera, name in (("primary", seen), ("wrist", held)) if name}
    if unknown := set(given.values()) - set(features):
        raise PolicyRequestError(f"the checkpoint has no image {', '.join(unknown)}; it has {', '.join(features)}")
    if left := set(found) - set(given.values()):
        raise PolicyRequestError(
            f"the checkpoint needs {', '.join(found)}, and the camera of {', '.join(sorted(left))} is unknown; name them: "
            "--policy-arg primary=FEATURE --policy-arg wrist=FEATURE"
        )
    return given


def _check_state(features: Mapping[str, Any]) -> None:
    if STATE in features and tuple(features[STATE].shape) != (STATE_SIZE,):
        raise PolicyError(f"the checkpoint's state is {tuple(features[STATE].shape)}, LIBERO's is ({STATE_SIZE},)")


def _side(features: Mapping[str, Any]) -> int | None:
    """Side of the images that the checkpoint was trained on; None without images."""
    sides = {int(side) for feature in features.values() for side in feature.shape[1:]}
    if len(sides) > 1:
        raise PolicyError(f"the checkpoint's images are not squares of one size: {sorted(sides)}")
    return next(iter(sides), None)
