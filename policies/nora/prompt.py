"""From an instruction to token ids and rotary positions: the backbone's chat template around one image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...envs.errors import PolicyError
from ...envs.safe_io import read_object
from ...envs.types import Array

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<|vision_start|>{image}<|vision_end|>{instruction}<|im_end|>\n<|im_start|>assistant\n"
)
SPECIAL = {
    "end_of_turn": "<|im_end|>",
    "pad": "<|endoftext|>",
    "image": "<|image_pad|>",
    "first_action": "<robot_action_0>",
    "last_action": "<robot_action_2047>",
}
"""Token that the model needs -> its text in the vocabulary."""


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Ids of the special tokens."""

    end_of_turn: int
    pad: int
    image: int
    first_action: int
    last_action: int


@dataclass(frozen=True)
class Prompter:
    """A tokenizer and the number of tokens that an image takes."""

    backend: Tokenizer
    image_tokens: int
    ids: TokenIds

    @classmethod
    def load(cls, folder: Path, image_tokens: int) -> Prompter:
        """From a folder with `tokenizer.json`. Raises PolicyError naming what is missing."""
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise PolicyError(f"no tokenizer: {path} is missing; name one with --policy-arg tokenizer=FOLDER_OR_HUB_ID")
        try:
            backend = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises plain Exception
            raise PolicyError(f"{path} is not a tokenizer file: {error}") from None
        return cls(backend, image_tokens, _special_ids(backend, folder))

    def prompt(self, instruction: str) -> list[int]:
        """Token ids of system turn, image, instruction and the assistant's header."""
        text = TEMPLATE.format(image=SPECIAL["image"] * self.image_tokens, instruction=instruction)
        return self.backend.encode(text, add_special_tokens=False).ids

    def answer(self, tokens: Iterable[int]) -> list[int]:
        """Token ids of an answer of these action tokens: they, the end of the turn and a newline."""
        newline = self.backend.encode("\n", add_special_tokens=False).ids
        return [*(self.ids.first_action + token for token in tokens), self.ids.end_of_turn, *newline]


def _special_ids(backend: Tokenizer, folder: Path) -> TokenIds:
    added = folder / "added_tokens.json"
    try:
        more = read_object(added) if added.is_file() else {}
    except (OSError, ValueError) as error:
        raise PolicyError(f"{added} cannot be read: {error}") from None
    ids = {name: backend.token_to_id(text) for name, text in SPECIAL.items()}
    ids = {name: more.get(SPECIAL[name]) if value is None else value for name, value in ids.items()}
    if missing := [SPECIAL[name] for name, value in ids.items() if value is None]:
        raise PolicyError(f"{folder / 'tokenizer.json'} has no token {', '.join(missing)}; it is not a NORA tokenizer")
    numbers = {name: value for name, value in ids.items() if isinstance(value, int)}
    if numbers != ids:
        raise PolicyError(f"{added} gives tokens numbers that are none")
    return TokenIds(**numbers)


def rotary_positions(ids: Array, mask: Array, image_token: int, grids: Array, merge: int) -> Array:
    """[3, batch, length] int64: time, height and width position of every token, one image per row; 1 on padding.

    Text advances along all three axes. An image has one time; its tokens spread over rows and columns, and the text after it
    continues from the largest position.

    Args:
        ids, mask: [batch, length]; mask is 0 on padding.
        image_token: id of an image token.
        grids: [batch, 3] patches in time, height, width.
        merge: patches per side that become one image token.
    """
    positions = np.ones((3, *ids.shape), np.int64)
    for row, (_, height, width) in enumerate(grids):
        valid = np.flatnonzero(mask[row])
        positions[:, row, valid] = _row_positions(ids[row, valid] == image_token, height // merge, width // merge)
    return positions


def _row_positions(is_image: Array, rows: int, columns: int) -> Array:
    if is_image.sum() != rows * columns:
        raise ValueError(f"{is_image.sum()} image tokens for an image of {rows} x {columns}")
    first = int(is_image.argmax())
    after = len(is_image) - first - rows * columns
    image = np.stack([np.zeros(rows * columns, int), np.repeat(np.arange(rows), columns), np.tile(np.arange(columns), rows)])
    text = np.tile(np.arange(first), (3, 1))
    rest = np.tile(first + max(rows, columns) + np.arange(after), (3, 1))
    return np.concatenate([text, first + image, rest], axis=1)
