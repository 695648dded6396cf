"""`nora-bench data`: its subcommands, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import typer

from ...harness.cli import STYLE
from .fit_tokenizer import fit_tokenizer
from .options import RenamedVerbs, renamed_options
from .regenerate import regenerate
from .render import render

TOKENIZER = {
    "--length": "--chunk-size",
    "--end": "--pad-actions",
    "--vocab": "--vocab-size",
    "--smooth": "--label-smoothing-steps",
}
"""Former options of `data fit-tokenizer`."""


class _DataVerbs(RenamedVerbs):
    renamed: ClassVar[Mapping[str, str]] = {"pictures": "data render", "tokenizer": "data fit-tokenizer"}


data = typer.Typer(add_completion=False, no_args_is_help=True, cls=_DataVerbs, **STYLE)
data.command("render", cls=renamed_options({"--size": "--image-size", "--every": "--frame-stride"}))(render)
data.command("regenerate")(regenerate)
data.command("fit-tokenizer", cls=renamed_options(TOKENIZER))(fit_tokenizer)


@data.callback()
def _parts() -> None:
    """Prepare training data from demonstrations.

    Example: `nora-bench data render --data demonstrations --out frames`
    """
