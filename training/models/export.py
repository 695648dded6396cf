"""Exports a trained checkpoint: the files that a policy reads, weights in a smaller type, without the training state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...policies.nora.checkpoint import Checkpoint, check_noise_scale, execute_problem, open_checkpoint, read_json
from ...policies.nora.config import NoraConfig
from ...policies.nora.onnx_format import GRAPH
from ..engine.config import TrainingError

Dtype = Literal["float32", "bfloat16", "float16"]
BESIDE = ("norm_stats.json", "tokenizer.json", "fast_tokenizer", GRAPH)
"""Files that a policy reads besides weights and configuration, where the checkpoint has them."""


def publish(
    checkpoint: str,
    out: Path,
    dtype: Dtype = "float16",
    card: Path | None = None,
    n_action_steps: int | None = None,
    noise_scale: float | None = None,
    *,
    onnx: bool = False,
) -> Path:
    """Write the checkpoint into a new folder and return it. The same checkpoint gives the same bytes.

    Args:
        checkpoint: path or hub id.
        out: must not exist.
        dtype: of the weights in the file; policies choose their own (`--policy-arg dtype=`).
        card: a text about the model, stored as MODEL_CARD.md.
        n_action_steps: actions of each chunk that are executed from now on; None: as in the checkpoint.
        noise_scale: scale of the flow's initial noise from now on; None: as in the checkpoint.
        onnx: also write the architecture's graph, with which ONNX Runtime computes the policy without torch.

    Raises:
        CheckpointError: no such checkpoint, a damaged one, an invalid noise scale, or a model that a graph does not cover.
        TrainingError: the folder exists, the card does not, a weight is too large for the type, more actions are to be
            executed than an answer has, or the graph needs a missing library.
    """
    if out.exists():
        raise TrainingError(f"{out} exists; name a new folder: --out")
    if card and not card.is_file():
        raise TrainingError(f"there is no file {card}")
    opened = open_checkpoint(checkpoint)
    if n_action_steps is not None and (problem := execute_problem(checkpoint, n_action_steps, opened.config.chunk)):
        raise TrainingError(f"{problem}: --n-action-steps", option="--n-action-steps", value=n_action_steps)
    changes: dict[str, float] = {} if n_action_steps is None else {"execute": n_action_steps}
    if noise_scale is not None:
        changes["noise"] = check_noise_scale(noise_scale, "--noise-scale")
    weights, graph = _converted(opened, dtype), onnx_graph(opened.config) if onnx else None
    out.mkdir(parents=True)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)  # the library makes it readable by its owner alone
    for name in BESIDE:
        _copy(opened.folder / name, out / name)
    _configure(opened.folder / "config.json", out / "config.json", changes)
    if graph:
        (out / GRAPH).write_bytes(graph)
    if card:
        shutil.copyfile(card, out / "MODEL_CARD.md")
    return out


def onnx_graph(config: NoraConfig) -> bytes:
    """The file of that architecture's graph. Raises TrainingError without the library, CheckpointError for other models."""
    try:
        from ...policies.nora.model.onnx_graph import build_graph

        return build_graph(config).SerializeToString(deterministic=True)
    except ImportError as error:
        raise TrainingError(f"--onnx needs {error.name}. Type: pip install 'nora-bench[train]'") from None


def _converted(opened: Checkpoint, dtype: Dtype) -> dict[str, Tensor]:
    """Name in the file -> weight in that type."""
    stored = {name: tensor for file in opened.files for name, tensor in load_file(file).items()}
    small = {name: tensor.to(getattr(torch, dtype)).contiguous() for name, tensor in stored.items()}
    if overflowing := [name for name, tensor in small.items() if not tensor.isfinite().all()]:
        raise TrainingError(f"{', '.join(overflowing[:3])} cannot be held in {dtype}; take --dtype bfloat16")
    return small


def _configure(source: Path, target: Path, changes: Mapping[str, float]) -> None:
    """Copy a configuration with changes."""
    if changes:
        settings = {**(read_json(source) if source.is_file() else {}), **changes}
        target.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    else:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
