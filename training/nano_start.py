"""A nano model to start from: the classes of NORA-1.5 at sizes that a CPU can train, weights drawn from a seed.

Two sizes decide whether so small a model sees anything. The rotary base: with the backbone's 1,000,000 the slow frequencies,
which the picture's columns get, hardly turn over eight columns. And the start: matrices by the number of their inputs, and
biases of queries and keys that are not zero, so that attention by position, and with it a place for every image
token, is there from the first step.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..policies.fast import FastTokenizer
from ..policies.nora.config import ExpertConfig, NoraConfig
from ..policies.nora.model import NoraModel
from ..policies.nora.nano import base_backbone, write_tokenizer
from ..policies.nora.prompt import Prompter
from .starting import Start, start_value

EMBEDDING_STD = 0.1
OUTPUT_STD = 0.01
"""Of the layer that makes velocities: at first it answers almost nothing."""
RESIDUAL = ("o_proj.weight", "down_proj.weight", "attn.proj.weight")
"""Ends of residual branches, which start smaller the more layers there are."""


@dataclass(frozen=True, slots=True)
class NanoSizes:
    """Sizes of a drawn model; backbone and expert must have heads of equal size."""

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


def drawn(sizes: NanoSizes, seed: int, fast: FastTokenizer | None, norm_stats: Mapping[str, Any]) -> Start:
    """A nano model to start from. Raises ValueError where the sizes fit no model."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = write_tokenizer(Path(folder) / "tokenizer.json")
        config = _config(sizes, vocabulary)
        prompter = Prompter.load(Path(folder), config.image_tokens)
    model = NoraModel(config)
    model.restore_rotary()
    _fill(model, sizes, seed)
    settings = {"vlm_config": config.backbone, "chunk": sizes.chunk, "image_size": sizes.image_size, "crop": False}
    settings |= {"token_head": False}  # until tokens are learned
    settings |= {"noise": 0.0}  # a scripted expert's labels jitter, which sampling would repeat (docs/training.md)
    return Start(model.train(), prompter, fast, settings, norm_stats)


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
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        start_value(name, parameter, _std(name, parameter, sizes), draw)
        if name.endswith(("q_proj.bias", "k_proj.bias")) and name.startswith("vlm."):
            parameter.normal_(0.0, sizes.attention_bias, generator=draw)
        elif name.endswith("attn.qkv.bias"):
            parameter[: 2 * len(parameter) // 3].normal_(0.0, sizes.attention_bias, generator=draw)
    model.vlm.tie_weights()


def _std(name: str, parameter: torch.Tensor, sizes: NanoSizes) -> float:
    if "embed_tokens" in name:
        return EMBEDDING_STD
    if "action_out_proj" in name:
        return OUTPUT_STD
    fan = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.0
    depth = sizes.vision_layers if "visual" in name else sizes.layers
    return fan * (2 * depth) ** -0.5 if name.endswith(RESIDUAL) else fan
