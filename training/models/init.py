"""The initial model of a training run, from a checkpoint or initialised from a seed, and the policy written from it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...policies.fast import FastTokenizer
from ...policies.nora.checkpoint import Checkpoint, open_checkpoint, read_json
from ...policies.nora.config import ExpertConfig, NoraConfig, expert_intermediate
from ...policies.nora.model.reference import NoraModel
from ...policies.nora.nano import base_backbone, write_tokenizer
from ...policies.nora.prompt import Prompter
from ...policies.nora.tokenizers import open_fast, open_prompter
from ...policies.nora.weights import TIED

STD = 0.02
"""Standard deviation of the weights of a new expert, as the backbone's authors initialise theirs."""


@dataclass(frozen=True)
class InitialModel:
    """A model, its tokenizers, settings and statistics."""

    model: NoraModel
    """float32, every parameter trainable."""
    prompter: Prompter
    fast: FastTokenizer | None
    """None where no action tokens are learned."""
    settings: Mapping[str, Any]
    """`config.json` of the policy."""
    norm_stats: Mapping[str, Any]
    """Data set -> statistics of its actions."""


def open_model(
    checkpoint: Checkpoint, *, tokens: bool = True, fast: str | None = None, tokenizer: str | None = None, device: str = "cpu"
) -> InitialModel:
    """The checkpoint's model with its tokenizers. Raises CheckpointError, PolicyError.

    Args:
        checkpoint: opened.
        tokens: whether an action tokenizer is needed.
        fast, tokenizer: folder or hub id of the action and of the text tokenizer; None: the checkpoint's own, else the released.
        device: of the weights.
    """
    prompter = open_prompter(checkpoint, tokenizer)
    action_tokenizer = open_fast(checkpoint, fast) if tokens else None
    model = checkpoint.model(device, torch.float32).requires_grad_(True).train()
    return InitialModel(model, prompter, action_tokenizer, _settings(checkpoint), checkpoint.norm_stats)


def from_checkpoint(
    name: str,
    *,
    fast: str | None = None,
    tokenizer: str | None = None,
    expert: int | None = None,
    chunk: int | None = None,
    tokens: bool = True,
    seed: int = 0,
    device: str = "cpu",
) -> InitialModel:
    """Start from a path or hub id. Raises CheckpointError, PolicyError.

    Args:
        name: what `--policy` takes.
        fast, tokenizer, tokens: see `open_model`.
        expert: width of a new flow expert for a checkpoint without one (NORA-1.5 starts from NORA-Long with 768).
        chunk: actions per chunk from now on; None: the checkpoint's. No weight depends on it.
        seed: initialises a new expert.
        device: of the weights.
    """
    initial = open_model(open_checkpoint(name), tokens=tokens, fast=fast, tokenizer=tokenizer, device=device)
    model, settings = initial.model, dict(initial.settings)
    if expert and not model.config.expert:
        model = with_expert(model, expert, seed)
    if chunk:
        model.config = replace(model.config, chunk=chunk)
        settings.pop("execute", None)  # refers to the checkpoint's own chunk
    return replace(initial, model=model, settings={**settings, "chunk": model.config.chunk})


def with_expert(model: NoraModel, width: int, seed: int) -> NoraModel:
    """The same backbone with a new expert of that width; heads and MLP follow from it as released."""
    size = model.config.head_size
    expert = ExpertConfig(width, width // size, expert_intermediate(width))
    with torch.device("meta"):  # a second backbone would take 16 GB at full size, only to be replaced
        extended = NoraModel(replace(model.config, expert=expert, chunk=model.config.chunk or 5))
    extended.vlm = model.vlm
    for name, part in list(extended.named_children()):
        if name != "vlm":
            part.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(extended.named_parameters()):
            if not name.startswith("vlm."):
                init_parameter(name, parameter, STD, generator)
    return extended.to(model.vlm.device).train()


def init_parameter(name: str, parameter: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """Initialise a parameter: matrices normal, biases 0, norms 1."""
    if parameter.ndim > 1:
        parameter.normal_(0.0, std, generator=generator)
    else:
        parameter.fill_(0.0 if name.endswith(".bias") else 1.0)


def _settings(checkpoint: Checkpoint) -> dict[str, Any]:
    path, config = checkpoint.folder / "config.json", checkpoint.config
    stored = read_json(path) if path.is_file() else {}
    return {**stored, "vlm_config": config.backbone, "chunk": config.chunk, "image_size": config.image_size}


EMBEDDING_STD = 0.1
OUTPUT_STD = 0.01
"""Standard deviation of the weights of the layer that outputs velocities, which are almost zero at first."""
RESIDUAL = ("o_proj.weight", "down_proj.weight", "attn.proj.weight")
"""Last layers of residual branches, initialised smaller the more layers there are."""


@dataclass(frozen=True, slots=True)
class NanoSizes:
    """Sizes of a nano model; backbone and expert must have heads of equal size."""

    image_size: int = 112
    patch: int = 14
    merge: int = 1
    window: int = 112
    vision_hidden: int = 192
    vision_layers: int = 3
    vision_heads: int = 3
    vision_mlp: int = 512
    hidden: int = 128
    layers: int = 4
    heads: int = 2
    key_value_heads: int = 1
    mlp: int = 344
    expert_hidden: int = 128
    expert_heads: int = 2
    expert_mlp: int = 344
    chunk: int = 5
    rotary_base: float = 10.0
    attention_bias: float = 0.7
    """Standard deviation of the biases of queries and keys in the backbone."""


def init_nano(sizes: NanoSizes, seed: int, fast: FastTokenizer | None, norm_stats: Mapping[str, Any]) -> InitialModel:
    """A newly initialised nano model. Raises ValueError for sizes that no model can have."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = write_tokenizer(Path(folder) / "tokenizer.json")
        config = _config(sizes, vocabulary)
        prompter = Prompter.load(Path(folder), config.image_tokens)
    model = NoraModel(config)
    model.restore_rotary()
    _fill(model, sizes, seed)
    settings = {"vlm_config": config.backbone, "chunk": sizes.chunk, "image_size": sizes.image_size}
    settings |= {"crop": False}  # trained on whole images (`data.images`): the policy omits the protocol's centre crop
    settings |= {"token_head": False}  # until tokens are learned
    settings |= {"noise": 0.0}  # a scripted expert's labels jitter, and sampling would reproduce it (docs/evidence/training.md)
    return InitialModel(model.train(), prompter, fast, settings, norm_stats)


def _config(sizes: NanoSizes, vocabulary: dict[str, int]) -> NoraConfig:
    pairs = sizes.hidden // sizes.heads // 2
    side = 3 * pairs // 8
    backbone = json.loads(json.dumps(base_backbone(vocabulary)))
    backbone |= {
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.mlp,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.key_value_heads,
        "rope_theta": sizes.rotary_base,
        "rope_scaling": {"type": "mrope", "mrope_section": [pairs - 2 * side, side, side]},
    }
    whole = list(range(sizes.vision_layers)) if sizes.window >= sizes.image_size else []
    backbone["vision_config"] |= {
        "depth": sizes.vision_layers,
        "hidden_size": sizes.vision_hidden,
        "intermediate_size": sizes.vision_mlp,
        "num_heads": sizes.vision_heads,
        "out_hidden_size": sizes.hidden,
        "patch_size": sizes.patch,
        "spatial_merge_size": sizes.merge,
        "window_size": sizes.window,
        "fullatt_block_indexes": whole,
    }
    expert = ExpertConfig(sizes.expert_hidden, sizes.expert_heads, sizes.expert_mlp)
    return NoraConfig(backbone, expert, sizes.chunk, image_size=sizes.image_size)


@torch.no_grad()
def _fill(model: NoraModel, sizes: NanoSizes, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        init_parameter(name, parameter, _std(name, parameter, sizes), generator)
        if name.endswith(("q_proj.bias", "k_proj.bias")) and name.startswith("vlm."):
            parameter.normal_(0.0, sizes.attention_bias, generator=generator)
        elif name.endswith("attn.qkv.bias"):
            parameter[: 2 * len(parameter) // 3].normal_(0.0, sizes.attention_bias, generator=generator)
    model.vlm.tie_weights()


def _std(name: str, parameter: torch.Tensor, sizes: NanoSizes) -> float:
    if "embed_tokens" in name:
        return EMBEDDING_STD
    if "action_out_proj" in name:
        return OUTPUT_STD
    fan = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.0
    depth = sizes.vision_layers if "visual" in name else sizes.layers
    return fan * (2 * depth) ** -0.5 if name.endswith(RESIDUAL) else fan


def write_policy(initial: InitialModel, weights: Mapping[str, Tensor], folder: Path, *, tokens: bool = False) -> None:
    """Write weights, configuration, tokenizers and statistics.

    Args:
        initial: the model that training started from; everything but the weights is taken from it.
        weights: the model's, by its own names; float32 is kept.
        folder: exists.
        tokens: whether the token head was trained now; else as in the initial model's settings.
    """

    repeated = TIED if initial.model.config.tied else None
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in weights.items() if name != repeated}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    head = tokens or initial.settings.get("token_head", True)
    config = {**initial.settings, "trained": True, "token_head": head}
    for name, settings in (("config.json", config), ("norm_stats.json", initial.norm_stats)):
        (folder / name).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    initial.prompter.backend.save(str(folder / "tokenizer.json"))
    if initial.fast:
        initial.fast.save(folder / "fast_tokenizer")
