"""The two tokenizers of a checkpoint, text and actions: one that is named, else the checkpoint's own, else the released one."""

from __future__ import annotations

from pathlib import Path

from ...envs.errors import PolicyError
from ..fast import FastError, FastTokenizer
from .checkpoint import Checkpoint, locate
from .prompt import Prompter

FAST_PLUS = "physical-intelligence/fast"
"""Hub id of the released FAST+ tokenizer."""
PROCESSOR = "declare-lab/nora"
"""Hub id of the text tokenizer for NORA-1.5 checkpoints, which have none of their own."""
FAST_FOLDER = "fast_tokenizer"


def open_prompter(checkpoint: Checkpoint, name: str | None = None) -> Prompter:
    """The text tokenizer; `name` is a folder or hub id. Raises PolicyError."""
    own = name is None and (checkpoint.folder / "tokenizer.json").is_file()
    folder = checkpoint.folder if own else _folder(name or PROCESSOR)
    return Prompter.load(folder, checkpoint.config.image_tokens)


def own_fast(checkpoint: Checkpoint) -> Path | None:
    """The folder of the checkpoint's own action tokenizer; None where it has none."""
    folder = checkpoint.folder / FAST_FOLDER
    return folder if folder.is_dir() else None


def open_fast(checkpoint: Checkpoint, name: str | None = None) -> FastTokenizer:
    """The action tokenizer; `name` is a folder or hub id. Raises PolicyError."""
    own = own_fast(checkpoint) if name is None else None
    try:
        return FastTokenizer.load(own or _folder(name or FAST_PLUS))
    except FastError as error:
        raise PolicyError(f"{error}; name another folder or hub id: --policy-arg fast=FOLDER_OR_HUB_ID") from None


def _folder(name: str) -> Path:
    return locate(name, wanted="tokenizer.json")
