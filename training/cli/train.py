"""`nora-bench train`: its parts, one file each."""

from __future__ import annotations

import typer

from ...harness.cli import STYLE
from .dpo import dpo
from .publish import publish
from .regenerate import regenerate
from .render import pictures
from .sft import sft
from .tokenizer import tokenizer
from .world_model import world_model

train = typer.Typer(add_completion=False, no_args_is_help=True, **STYLE)
train.command("pictures")(pictures)
train.command("publish")(publish)
train.command("regenerate")(regenerate)
train.command("sft")(sft)
train.command("tokenizer")(tokenizer)
train.command("world-model")(world_model)
train.command("dpo")(dpo)


@train.callback()
def _parts() -> None:
    """Train the parts of a model; each part is a command of its own.

    Example: `nora-bench train tokenizer --data demonstrations --out tokenizer`
    """
