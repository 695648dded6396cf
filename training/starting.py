"""What a training run starts from: a checkpoint of the family, or a nano model drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..policies.fast import FastTokenizer
from ..policies.nora.checkpoint import Checkpoint, locate, open_checkpoint, read_json
from ..policies.nora.config import ExpertConfig, NoraConfig, expert_intermediate
from ..policies.nora.model import NoraModel
from ..policies.nora.policy import FAST_PLUS, PROCESSOR
from ..policies.nora.prompt import Prompter

STD = 0.02
"""Of the weights of a fresh expert, as the backbone's authors start theirs."""


@dataclass(frozen=True)
class Start:
    """A model and what belongs to it."""

    model: NoraModel
    """float32, every parameter trainable."""
    prompter: Prompter
    fast: FastTokenizer | None
    """None where no tokens are to be learned."""
    settings: Mapping[str, Any]
    """`config.json` of the policy."""
    norm_stats: Mapping[str, Any]
    """Data set -> statistics of its actions."""


def from_checkpoint(
    name: str,
    *,
    fast: str | None = None,
    tokenizer: str | None = None,
    expert: int | None = None,
    chunk: int | None = None,
    tokens: bool = True,
    seed: int = 0,
) -> Start:
    """Start from a path or hub id. Raises CheckpointError, FastError, PolicyError.

    Args:
        name: what `--policy` takes.
        fast, tokenizer: folder or hub id of the action and of the text tokenizer; None: the checkpoint's own, else the released.
        expert: width of a fresh flow expert for a checkpoint that has none (NORA-1.5 starts from NORA-Long with 768).
        chunk: actions per answer from now on; None: the checkpoint's. No weight depends on it.
        tokens: whether action tokens will be learned; without them no action tokenizer is looked for.
        seed: of a fresh expert.
    """
    found = open_checkpoint(name)
    own = found.folder / "fast_tokenizer"
    words = found.folder if tokenizer is None and (found.folder / "tokenizer.json").is_file() else _tokenizer(tokenizer)
    codes = None
    if tokens:
        codes = own if fast is None and own.is_dir() else locate(fast or FAST_PLUS, wanted="tokenizer.json")
    model = found.model("cpu", torch.float32).requires_grad_(True).train()
    if expert and not found.config.expert:
        model = with_expert(model, expert, seed)
    if chunk:
        model.config = replace(model.config, chunk=chunk)
    settings = _settings(found, model.config)
    if chunk:
        settings.pop("execute", None)  # was said of the chunk that the checkpoint had
    prompter = Prompter.load(words, found.config.image_tokens)
    return Start(model, prompter, FastTokenizer.load(codes) if codes else None, settings, found.norm_stats)


def with_expert(model: NoraModel, width: int, seed: int) -> NoraModel:
    """The same backbone with a fresh expert of that width; heads and MLP follow from it as released."""
    size = model.config.head_size
    expert = ExpertConfig(width, width // size, expert_intermediate(width))
    grown = NoraModel(replace(model.config, expert=expert, chunk=model.config.chunk or 5))
    grown.vlm = model.vlm
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(grown.named_parameters()):
            if not name.startswith("vlm."):
                start_value(name, parameter, STD, draw)
    return grown.train()


def start_value(name: str, parameter: torch.Tensor, std: float, draw: torch.Generator) -> None:
    """Fill a parameter as fresh ones are: matrices normal, biases 0, norms 1."""
    if parameter.ndim > 1:
        parameter.normal_(0.0, std, generator=draw)
    else:
        parameter.fill_(0.0 if name.endswith(".bias") else 1.0)


def _tokenizer(wanted: str | None) -> Path:
    return locate(wanted or PROCESSOR, wanted="tokenizer.json")


def _settings(found: Checkpoint, config: NoraConfig) -> dict[str, Any]:
    path = found.folder / "config.json"
    kept = read_json(path) if path.is_file() else {}
    return {**kept, "vlm_config": config.backbone, "chunk": config.chunk, "image_size": config.image_size}
