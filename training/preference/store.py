"""Labelled states on disk: candidate chunks, every score they got, and the pairs that each reward makes of them.

    OUT/labels.json                  what was asked: policy, world model, rewards, margin, candidates, seed, statistics
    OUT/part-00000.safetensors       `images`, `candidates`, `demonstrated`; per reward `total.R`, `goal.R`, `pair.R`; `action`
    OUT/part-00000.jsonl             one line per state: demonstration, step, suite, instruction

Parts appear whole or not at all, so that labelling goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..settings import TrainingError

Array = np.ndarray
SETTINGS = "labels.json"
NO_PAIR = -1
"""Winner and loser of a state that makes no pair."""


@dataclass(frozen=True, slots=True)
class Part:
    """S labelled states: C candidates each, chunks of N actions of size A."""

    images: Array
    """[S, size, size, 3] uint8 as the policy sees them."""
    candidates: Array
    """[S, C, N, A] float32 normalised."""
    demonstrated: Array
    """[S, N, A] float32 normalised."""
    action: Array
    """[S, C] float32 action reward, Eq. (7)."""
    goal: Mapping[str, Array]
    """Reward's name -> [S, C] float32 goal reward, Eq. (6); zeros where the goal does not count."""
    total: Mapping[str, Array]
    """Reward's name -> [S, C] float32 what pairs are made of, Eq. (8)."""
    pairs: Mapping[str, Array]
    """Reward's name -> [S, 2] int64 index of winner and loser, or `NO_PAIR`."""
    states: Sequence[Mapping[str, Any]]
    """Where each state is from: `key`, `step`, `suite`, `instruction`."""


def begin(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder, or go on in it. Raises TrainingError where it holds labels that were asked for otherwise."""
    path = folder / SETTINGS
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        found = json.loads(path.read_text(encoding="utf-8"))
        others = sorted(key for key in {*found, *settings} if found.get(key) != settings.get(key))
        raise TrainingError(f"{folder} holds labels with another {', '.join(others)}; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def has_part(folder: Path, index: int) -> bool:
    """Whether a part has been written."""
    return _path(folder, index).is_file()


def write_part(folder: Path, index: int, part: Part) -> None:
    """Write one part."""
    from safetensors.numpy import save_file

    path = _path(folder, index)
    arrays = {"images": part.images, "candidates": part.candidates, "demonstrated": part.demonstrated, "action": part.action}
    for kind, named in (("goal", part.goal), ("total", part.total), ("pair", part.pairs)):
        arrays |= {f"{kind}.{name}": array for name, array in named.items()}
    lines = "".join(json.dumps(state) + "\n" for state in part.states)
    path.with_suffix(".jsonl").write_text(lines, encoding="utf-8")
    scratch = path.with_suffix(".tmp")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, scratch)
    scratch.replace(path)


def read_settings(folder: Path) -> dict[str, Any]:
    """What the labels were asked for. Raises TrainingError naming the command that makes some."""
    path = folder / SETTINGS
    if not path.is_file():
        raise TrainingError(f"{folder} holds no labels. Type: nora-bench label --policy CHECKPOINT --data DIR --out {folder}")
    return json.loads(path.read_text(encoding="utf-8"))


def read(folder: Path) -> Part:
    """All parts as one. Raises TrainingError where there is none."""
    from safetensors.numpy import load_file

    read_settings(folder)
    paths = sorted(folder.glob("part-*.safetensors"))
    if not paths:
        raise TrainingError(f"{folder} holds no labelled state yet; run the same `nora-bench label` to its end")
    parts = [load_file(path) for path in paths]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    lines = [line for path in paths for line in path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    images, candidates, demonstrated, action = (whole[name] for name in ("images", "candidates", "demonstrated", "action"))
    goal, total, pairs = (_named(whole, kind) for kind in ("goal", "total", "pair"))
    return Part(images, candidates, demonstrated, action, goal, total, pairs, [json.loads(line) for line in lines])


def _named(arrays: Mapping[str, Array], kind: str) -> dict[str, Array]:
    return {name.removeprefix(f"{kind}."): array for name, array in arrays.items() if name.startswith(f"{kind}.")}


def _path(folder: Path, index: int) -> Path:
    return folder / f"part-{index:05d}.safetensors"
