"""From scored candidates to pairs: which chunk wins, which loses, and which states make no pair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...envs.types import Array
from ..engine.config import TrainingError

if TYPE_CHECKING:
    from ...policies.fast import FastTokenizer
    from .collate import PromptCollator


def chosen_and_rejected(totals_C: Array) -> tuple[int, int]:
    """Indices of the largest and of the smallest reward; the first of equals, and NaN is neither."""
    return int(np.nanargmax(totals_C)), int(np.nanargmin(totals_C))


def pair(totals_C: Array, margin: float) -> tuple[int, int]:
    """Winner and loser, or `NO_PAIR` twice where rewards are equal or not `margin` apart. What is no number takes no part."""
    finite = np.isfinite(totals_C)
    if not finite.any():
        return NO_PAIR, NO_PAIR
    winner, loser = chosen_and_rejected(np.where(finite, totals_C, np.nan))
    gap = float(totals_C[winner]) - float(totals_C[loser])
    return (winner, loser) if gap > 0 and gap >= margin else (NO_PAIR, NO_PAIR)


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
        winner, loser = pairs[rows].T
        better = part.total[reward][rows, winner] > part.total[reward][rows, loser]
        if not better.all():
            raise TrainingError(
                f"{(~better).sum()} pairs of {reward} have a chosen chunk that scores no higher than the rejected one"
            )
        if not len(rows):
            raise TrainingError(f"no pairs under {reward}: all rewards are equal or closer than the margin")
        return cls(part, rows, part.candidates[rows, winner], part.candidates[rows, loser], collator, fast)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Array) -> Any:
        """`FlowPairs`, or `TokenPairs` with an action tokenizer."""
        import torch

        from .objective import FlowPairs, TokenPairs

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
NO_PAIR = -1
"""Index of chosen and rejected for a state without a pair."""


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
    """Settings of the labels. Raises TrainingError naming the command that makes them."""
    path = folder / SETTINGS
    if not path.is_file():
        raise TrainingError(
            f"{folder} contains no labels. Type: nora-bench label-preferences --policy CHECKPOINT --data DIR --out {folder}"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def read(folder: Path) -> Part:
    """All parts, concatenated. Raises TrainingError if there are none."""
    from safetensors.numpy import load_file

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


def _named(arrays: Mapping[str, Array], kind: str) -> dict[str, Array]:
    return {name.removeprefix(f"{kind}."): array for name, array in arrays.items() if name.startswith(f"{kind}.")}


def _path(folder: Path, index: int) -> Path:
    return folder / f"part-{index:05d}.safetensors"
