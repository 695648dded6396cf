"""What a training run writes for `--policy FOLDER`: everything that the policy reads, in the released layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..policies.nora.weights import TIED
from .starting import Start


def write_policy(start: Start, weights: Mapping[str, Tensor], folder: Path, *, tokens: bool = False) -> None:
    """Write weights, configuration, tokenizers and statistics.

    Args:
        start: the checkpoint that training started from; all but the weights is its.
        weights: the model's, by its own names; float32 is kept.
        folder: exists.
        tokens: whether the token head was trained now; else it is what the start says of it.
    """
    from safetensors.torch import save_file

    repeated = TIED if start.model.config.tied else None
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in weights.items() if name != repeated}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    head = tokens or start.settings.get("token_head", True)
    config = {**start.settings, "trained": True, "token_head": head}
    for name, settings in (("config.json", config), ("norm_stats.json", start.norm_stats)):
        (folder / name).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    start.prompter.backend.save(str(folder / "tokenizer.json"))
    if start.fast:
        start.fast.save(folder / "fast_tokenizer")
