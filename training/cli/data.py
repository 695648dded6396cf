"""`nora-bench data`: its subcommands, one file each."""

from __future__ import annotations

import typer

from ...harness.cli import STYLE
from .fit_tokenizer import fit_tokenizer
from .options import renamed_options
from .regenerate import regenerate
from .render import render

TOKENIZER = {
    "--length": "--chunk-size",
    "--end": "--pad-actions",
    "--vocab": "--vocab-size",
    "--smooth": "--label-smoothing-steps",
}
"""Former options of `data fit-tokenizer`."""

data = typer.Typer(add_completion=False, no_args_is_help=True, **STYLE)
data.command("render", cls=renamed_options({"--size": "--image-size", "--every": "--frame-stride"}))(render)
data.command("regenerate")(regenerate)
data.command("fit-tokenizer", cls=renamed_options(TOKENIZER))(fit_tokenizer)


@data.callback()
def _parts() -> None:
    """Prepare training data from demonstrations.

    Example: `nora-bench data render --data demonstrations --out frames`
    """
