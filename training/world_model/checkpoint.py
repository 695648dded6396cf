"""A world model's folder: `config.json` and `model.safetensors`, under nora-bench's names or those of the published weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...envs.safe_io import read_object
from ...policies.nora.weights import CheckpointError
from .model import WorldModel, WorldModelConfig

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PUBLISHED = (
    (r"(^|\.)(module\.|backbone\.)+", r"\1"),
    (r"^encoder\.patch_embed\.", "encoder.embeddings.patch_embeddings."),
    (r"^encoder\.blocks\.", "encoder.layer."),
    (r"^(encoder\.layer\.\d+)\.attn\.", r"\1.attention."),
    (r"^encoder\.norm\.", "encoder.layernorm."),
)
"""Names of the encoder's parts in the published weights -> names in `transformers`."""
UNUSED = ("predictor.extrinsics_encoder.",)
"""Published layers that no prediction uses."""


def save(model: WorldModel, folder: Path, about: Mapping[str, Any]) -> Path:
    """Write the model; `about` (statistics of its actions, what it was trained on) joins `config.json`. The folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    settings = {**about, "world_model": model.config.to_json()}
    (folder / CONFIG).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return folder


def settings(folder: Path) -> dict[str, Any]:
    """Contents of `config.json`: `world_model` and the facts of `save`. Raises CheckpointError."""
    try:
        found = read_object(folder / CONFIG)
        WorldModelConfig.from_json(found["world_model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} is not a world model ({error}). Type: nora-bench train world-model --data DEMONSTRATIONS --out {folder}"
        ) from None
    return found


def load(folder: Path, device: str = "cpu") -> WorldModel:
    """The model in a folder, in float32. Raises CheckpointError naming mismatched tensors."""
    config, tensors = WorldModelConfig.from_json(settings(folder)["world_model"]), _tensors(folder / WEIGHTS)
    if config.layers > len(tensors):
        raise CheckpointError(f"{folder} has fewer tensors than its {CONFIG} has layers")
    try:
        with torch.device("meta"):  # takes no memory, whatever the sizes
            empty = WorldModel(config)
    except Exception as error:  # what transformers and torch say to sizes that make no model
        raise CheckpointError(f"{folder / CONFIG} describes no model: {type(error).__name__}: {error}") from None
    _fitting(empty, tensors)
    model = WorldModel(config)
    load_weights(model, tensors)
    return model.to(device).eval()


def _tensors(file: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors file. Raises CheckpointError."""
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from None


def load_weights(model: WorldModel, tensors: Mapping[str, Tensor]) -> None:
    """Load weights under either set of names. Raises CheckpointError naming mismatched tensors."""
    model.load_state_dict({name: value.float() for name, value in _fitting(model, tensors).items()})


def _fitting(model: WorldModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the model's names. Raises CheckpointError unless they match the model exactly."""
    state, wanted = canonical_keys(tensors), model.state_dict()
    missing, foreign = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    shapes = [name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape]
    for what, names in (("lacks", missing), ("has unknown", foreign), ("has other sizes of", sorted(shapes))):
        if names:
            raise CheckpointError(f"the world model's file {what} {', '.join(names[:5])} ({len(names)} tensors)")
    return state


def start_from(model: WorldModel, path: Path) -> None:
    """Initialise the model from a .safetensors file or a world model's folder; an encoder's weights leave the predictor.

    Raises CheckpointError for other files (which could run code) and mismatched tensors.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if file.suffix != ".safetensors" or not file.is_file():
        raise CheckpointError(
            f"{path} is not a .safetensors file or a folder with one. Other formats can run code and are not read"
        )
    tensors = _tensors(file)
    own = {} if any(name.startswith("predictor.predictor") for name in canonical_keys(tensors)) else model.predictor.state_dict()
    kept = {name: value for name, value in tensors.items() if not own or name.startswith("encoder.")}
    load_weights(model, {**kept, **{f"predictor.{name}": value for name, value in own.items()}})


def canonical_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of `WorldModel`: the encoder's fused projection split, unused layers omitted."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        for pattern, instead in PUBLISHED:
            name = re.sub(pattern, instead, name)
        if ".attention.qkv." in name:
            parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
            found.update({name.replace("qkv", part): piece for part, piece in parts})
        elif not name.startswith(UNUSED):
            found[name] = value
    return found


def untrained(config: WorldModelConfig, seed: int) -> WorldModel:
    """A newly initialised model, like V-JEPA 2: normal 0.02, norms one, biases zero.

    An untrained encoder gets variance-preserving projections, so that its latents distinguish images.
    """
    model, generator = WorldModel(config), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim == 1:
                parameter.fill_(0.0 if name.endswith(".bias") else 1.0)
            else:
                keeps = name.startswith("encoder.") and not config.trained_encoder
                parameter.normal_(0.0, parameter[0].numel() ** -0.5 if keeps else 0.02, generator=generator)
    return model.eval()
