"""`nora-bench train`: its subcommands, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import typer

from ...harness.cli import STYLE
from .dpo import dpo
from .options import RenamedVerbs, renamed_options
from .sft import sft
from .world_encoder import world_encoder
from .world_model import world_model


class _TrainVerbs(RenamedVerbs):
    renamed: ClassVar[Mapping[str, str]] = {
        "pictures": "data render",
        "render": "data render",
        "fit-tokenizer": "data fit-tokenizer",
        "regenerate": "data regenerate",
        "tokenizer": "data fit-tokenizer",
        "publish": "export-checkpoint",
    }


LOOP = {"--rate": "--set loop.learning_rate=VALUE", "--batch": "--set loop.batch_size=VALUE"}

train = typer.Typer(add_completion=False, no_args_is_help=True, cls=_TrainVerbs, **STYLE)
train.command("sft", cls=renamed_options({**LOOP, "--from": "--init-from"}))(sft)
train.command("world-model", cls=renamed_options({**LOOP, "--start": "--init-from"}))(world_model)
train.command("world-encoder")(world_encoder)
train.command(
    "dpo", cls=renamed_options({**LOOP, "--rate": "--learning-rate", "--policy": "--init-from", "--beta": "--set dpo.beta=VALUE"})
)(dpo)


@train.callback()
def _parts() -> None:
    """Train a policy, a world model, or a policy on preferences.

    Example: `nora-bench train sft --data demonstrations --recipe nano --out sft`
    """
