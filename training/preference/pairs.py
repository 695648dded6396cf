"""From scored candidates to training examples: which chunk wins and which loses; their files; their batches.

A batch is images, instructions and action tokens as `NoraModel.prefix` takes them, padded on the right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from ...envs.safe_io import atomic_write
from ...envs.types import Array
from ...policies.fast import FastTokenizer
from ...policies.nora.collate import IGNORED, collate_prompts
from ...policies.nora.config import NoraConfig
from ...policies.nora.pixels import patches
from ...policies.nora.prompt import Prompter
from ..engine.config import TrainingError
from .loss import PromptBatch

NO_PAIR = -1
"""Index of chosen and rejected for a state without a pair."""


def chosen_and_rejected(totals_C: Array) -> tuple[int, int]:
    """Indices of the largest and of the smallest reward; the first of equals, and NaN is neither."""
    return int(np.nanargmax(totals_C)), int(np.nanargmin(totals_C))


def pair(totals_C: Array, margin: float) -> tuple[int, int]:
    """Chosen and rejected, or `NO_PAIR` twice where rewards are equal or not `margin` apart. Others than numbers take no part."""
    finite = np.isfinite(totals_C)
    if not finite.any():
        return NO_PAIR, NO_PAIR
    chosen, rejected = chosen_and_rejected(np.where(finite, totals_C, np.nan))
    gap = float(totals_C[chosen]) - float(totals_C[rejected])
    return (chosen, rejected) if gap > 0 and gap >= margin else (NO_PAIR, NO_PAIR)


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
    """Reward's name -> [S, 2] int64 index of the chosen and the rejected candidate, or `NO_PAIR`."""
    states: Sequence[Mapping[str, Any]]
    """Origin of each state: `key`, `step`, `suite`, `instruction`."""


@dataclass(frozen=True, slots=True)
class FlowPairs:
    """B pairs for the flow."""

    prompts: PromptBatch
    chunks: Tensor
    """[2B, N, A] normalised, chosen first."""


@dataclass(frozen=True, slots=True)
class TokenPairs:
    """B pairs for the token head: 2B whole sequences, chosen first."""

    prompts: PromptBatch
    labels: Tensor
    """[2B, P]"""
    cut: float = 0.0
    """Coefficients per chunk that the action tokenizer cannot represent, replaced by the nearest it can."""


@dataclass(frozen=True)
class PromptCollator:
    """Collates batches for one model."""

    config: NoraConfig
    prompter: Prompter

    def collate(self, images: Array, instructions: Sequence[str], answers: Sequence[Sequence[int]] | None = None) -> PromptBatch:
        """Prompts, followed by answers where there are some; the mask is of the prompts alone, as the expert attends to them.

        Args:
            images: [B, size, size, 3] uint8 at the model's size.
            instructions: one per image.
            answers: token ids after each prompt (`Prompter.answer`).
        """
        tokens = [self.prompter.prompt(text) for text in instructions]
        prompts = collate_prompts(tokens, self.prompter.ids, self.config, answers=answers)
        pixels = patches(images, self.config.patch, self.config.merge)
        arrays = (
            prompts.ids,
            prompts.mask.astype(np.int64),
            prompts.positions,
            pixels.reshape(-1, pixels.shape[-1]),
            prompts.grids,
        )
        return PromptBatch(tuple(torch.from_numpy(array) for array in arrays), torch.from_numpy(prompts.prompt_mask))

    def labels(self, prompts: PromptBatch) -> Tensor:
        """[B, P] targets of the token head: the answers, `IGNORED` elsewhere."""
        ids, mask = prompts.inputs[:2]
        return torch.where((mask == 1) & ~prompts.mask_BP, ids, torch.full_like(ids, IGNORED))


def to(prompts: PromptBatch, device: torch.device) -> PromptBatch:
    """The batch on a device."""
    return PromptBatch(tuple(tensor.to(device) for tensor in prompts.inputs), prompts.mask_BP.to(device))


@dataclass(frozen=True)
class PairExamples:
    """The pairs of one reward as training examples."""

    part: Part
    rows: Array
    """[pairs] index of each pair's state."""
    chosen: Array
    """[pairs, N, A]"""
    rejected: Array
    collator: PromptCollator
    fast: FastTokenizer | None = None
    """Action tokenizer for the token head; None for the flow head."""

    @classmethod
    def of(cls, part: Part, reward: str, collator: PromptCollator, fast: FastTokenizer | None = None) -> PairExamples:
        """The pairs of a reward. Raises TrainingError for no pairs, or a chosen chunk without the higher reward."""
        if reward not in part.pairs:
            raise TrainingError(f"the labels have no reward {reward!r}, only {', '.join(sorted(part.pairs))}")
        pairs = part.pairs[reward]
        rows = np.flatnonzero((pairs != NO_PAIR).all(axis=1))
        chosen, rejected = pairs[rows].T
        better = part.total[reward][rows, chosen] > part.total[reward][rows, rejected]
        if not better.all():
            raise TrainingError(
                f"{(~better).sum()} pairs of {reward} have a chosen chunk that scores no higher than the rejected one"
            )
        if not len(rows):
            raise TrainingError(f"no pairs under {reward}: all rewards are equal or closer than the margin")
        return cls(part, rows, part.candidates[rows, chosen], part.candidates[rows, rejected], collator, fast)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Array) -> Any:
        """`FlowPairs`, or `TokenPairs` with an action tokenizer."""
        rows = self.rows[indices]
        images, texts = self.part.images[rows], [self.part.states[row]["instruction"] for row in rows]
        chunks = np.concatenate([self.chosen[indices], self.rejected[indices]])
        if self.fast is None:
            return FlowPairs(self.collator.collate(images, texts), torch.from_numpy(chunks))
        labelled = self.fast.label(chunks)
        answers = [self.collator.prompter.answer(tokens) for tokens in labelled.tokens]
        prompts = self.collator.collate(np.concatenate([images, images]), texts + texts, answers)
        return TokenPairs(prompts, self.collator.labels(prompts), float(labelled.cut.mean()))


SETTINGS = "labels.json"


def start_labels(folder: Path, settings: Mapping[str, Any]) -> None:
    """Create the folder or resume in it. Raises TrainingError if it contains labels with other settings."""
    path = folder / SETTINGS
    if path.is_file():
        stored, now = (_without_order(values) for values in (read_settings(folder), settings))
        if changed := sorted(key for key in {*stored, *now} if stored.get(key) != now.get(key)):
            raise TrainingError(f"{folder} contains labels with another {', '.join(changed)}. Give another --out", option="--out")
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _without_order(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as on disk, with the rewards sorted: their order changes no label."""
    return {**json.loads(json.dumps(settings)), "rewards": sorted(settings["rewards"])}


def stored_rewards(folder: Path) -> tuple[str, ...]:
    """The rewards of the labels in a folder; empty without labels."""
    return tuple(read_settings(folder)["rewards"]) if (folder / SETTINGS).is_file() else ()


def has_part(folder: Path, index: int) -> bool:
    """Whether a part has been written."""
    return _path(folder, index).is_file()


def write_part(folder: Path, index: int, part: Part) -> None:
    """Write one part."""
    path = _path(folder, index)
    arrays = {"images": part.images, "candidates": part.candidates, "demonstrated": part.demonstrated, "action": part.action}
    for kind, named in (("goal", part.goal), ("total", part.total), ("pair", part.pairs)):
        arrays |= {f"{kind}.{name}": array for name, array in named.items()}
    lines = "".join(json.dumps(state) + "\n" for state in part.states)
    path.with_suffix(".jsonl").write_text(lines, encoding="utf-8")
    with atomic_write(path) as scratch:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, scratch)


def read_settings(folder: Path) -> dict[str, Any]:
    """Settings of the labels. Raises TrainingError naming the command that makes them."""
    path = folder / SETTINGS
    if not path.is_file():
        raise TrainingError(
            f"{folder} contains no labels. Type: nora-bench label-preferences --policy CHECKPOINT --data DIR --out {folder}"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def read(folder: Path) -> Part:
    """All parts, concatenated. Raises TrainingError if there are none."""
    read_settings(folder)
    paths = sorted(folder.glob("part-*.safetensors"))
    if not paths:
        raise TrainingError(f"{folder} contains no labelled states yet. Finish the same `nora-bench label-preferences`")
    parts = [load_file(path) for path in paths]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    lines = [line for path in paths for line in path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    images, candidates, demonstrated, action = (whole[name] for name in ("images", "candidates", "demonstrated", "action"))
    goal, total, pairs = (_named(whole, kind) for kind in ("goal", "total", "pair"))
    return Part(images, candidates, demonstrated, action, goal, total, pairs, [json.loads(line) for line in lines])


def joined(parts: Sequence[Part]) -> Part:
    """Labelled states of several folders as one, with the rewards that all have. Raises TrainingError for other shapes."""
    if len(parts) == 1:
        return parts[0]
    shapes = {(part.images.shape[1:], part.candidates.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise TrainingError("the folders of labels have images or candidates of different shapes; label them with one policy")
    names = [name for name in parts[0].total if all(name in part.total for part in parts)]

    def stacked(kind: str) -> dict[str, Array]:
        return {name: np.concatenate([getattr(part, kind)[name] for part in parts]) for name in names}

    return Part(
        images=np.concatenate([part.images for part in parts]),
        candidates=np.concatenate([part.candidates for part in parts]),
        demonstrated=np.concatenate([part.demonstrated for part in parts]),
        action=np.concatenate([part.action for part in parts]),
        goal=stacked("goal"),
        total=stacked("total"),
        pairs=stacked("pairs"),
        states=[state for part in parts for state in part.states],
    )


def _named(arrays: Mapping[str, Array], kind: str) -> dict[str, Array]:
    return {name.removeprefix(f"{kind}."): array for name, array in arrays.items() if name.startswith(f"{kind}.")}


def _path(folder: Path, index: int) -> Path:
    return folder / f"part-{index:05d}.safetensors"
