"""The command line: one file per verb.

Each verb lives in `harness/cli/<verb>.py` (those of `HOMES` in another package's `cli/`) and defines one function of
that name, with typer annotations and a docstring that holds an example, or a typer application of that name where the
verb has parts (`train sft`). A verb's module is imported when that verb is called, so that `--help` stays fast.
Exit codes are listed in `harness/errors.py`.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ...envs.errors import nearest

VERBS: dict[str, str] = {
    "plan": "How many initial states and seeds a comparison needs, before anything is played.",
    "run": "Play episodes of a suite with a policy; keep every one.",
    "table": "Success rates in the papers' layout, published rows beside them.",
    "show": "Summarise a run: configuration, progress, errors, episodes.",
    "compare": "Compare runs episode by episode: is one better, and how sure is that.",
    "merge": "Join runs of one policy that were played on several machines.",
    "report": "Write runs as one page to read offline.",
    "collect": "Collect demonstrations of a perturbed expert, in LIBERO's layout.",
    "data": "Prepare training data: render images, regenerate LIBERO's demonstrations, fit the action tokenizer.",
    "train": "Train a policy, a world model, or a policy on preferences.",
    "label-preferences": "Label preference pairs from sampled actions.",
    "export-checkpoint": "Write a checkpoint without its training state, in a smaller type.",
    "reproduce": "Reproduce the papers' pipeline at nano scale, from demonstrations to tables; plan the full size.",
    "export": "Write a run for other tools: rows, Parquet, LeRobot, Inspect.",
    "trials": "Keep trials on a real robot as a run.",
    "serve": "Serve a policy to other processes and machines.",
    "replay": "Play a stored episode again, verify it, write its video.",
    "verify": "Does a stored run hold? Examine its files, play a sample of it again.",
    "selfcheck": "Does this installation give right numbers? A few minutes.",
    "parity": "Hold reference recordings against this machine.",
    "list": "List suites, tasks, policies and protocols.",
    "new": "Begin a plug-in: a package with a policy or a suite of yours.",
    "assets": "List, check or fetch the meshes and textures that pictures are drawn with.",
    "doctor": "Check this machine; say what mends each problem.",
}
"""Verb -> its line in `nora-bench --help`, in the order shown."""

RENAMED: dict[str, str] = {"label": "label-preferences"}
"""Former verb -> its name today."""

HOMES: dict[str, str] = dict.fromkeys(
    ("collect", "data", "train", "label-preferences", "export-checkpoint", "reproduce"), "training"
)
"""Verb -> the package it is of, where that is not the harness. This table is where the packages above us are put
together; nothing else of the harness knows of them."""

COMPARISONS: dict[str, tuple[str, ...]] = {"nora": ("nora_bench.policies.nora.parity.compare", "nora_bench.training.parity")}
"""Family of recordings -> the modules whose `compare(recordings)` holds them against ours; put together here as `HOMES` is."""


BUG = 70
"""Exit code of an error that we did not foresee (EX_SOFTWARE); it comes with a traceback."""

STYLE: dict[str, Any] = {
    "rich_markup_mode": "markdown",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def build(verb: str) -> Any:
    """The command of one verb, built from its function or application (imports the verb's module)."""
    home = f"nora_bench.{HOMES[verb]}.cli" if verb in HOMES else __name__
    name = verb.replace("-", "_")
    found = getattr(import_module(f".{name}", home), name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    app = typer.Typer(add_completion=False, **STYLE)
    app.command(verb)(found)
    return typer.main.get_command(app)


class Verbs(TyperGroup):
    """The verbs of `VERBS`: listed from the table, imported only when one is called or completed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return [*VERBS]  # not `list(VERBS)`: once imported, the verb `list` is a name of this package

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb's line in the help; None for an unknown verb."""
        return TyperCommand(cmd_name, help=VERBS[cmd_name], callback=None) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb itself. Unknown verbs end with the nearest names."""
        verb = args[0]
        if verb not in VERBS and not verb.startswith("-"):
            if verb in RENAMED:
                ctx.fail(f"{verb!r} is now {RENAMED[verb]!r}.")
            ctx.fail(f"Unknown verb {verb!r}{nearest(verb, VERBS)}.")
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and build(str(name)), rest


app = typer.Typer(cls=Verbs, **STYLE)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"nora-bench {version('nora-bench')}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _options(
    debug: Annotated[bool, typer.Option("--debug", envvar="NORA_BENCH_DEBUG", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """How good is this robot policy? Plays LIBERO episodes, keeps every one, prints the papers' tables.

    Example: `nora-bench run --suite libero_goal --policy zero --episodes 1`
    """
    if debug:
        os.environ["NORA_BENCH_DEBUG"] = "1"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with a documented exit code."""
    _write_what_can_be_written()
    try:
        app(args=args, prog_name="nora-bench")
    except Exception as error:
        sys.exit(_explain(error))
    finally:
        _flush()


def _write_what_can_be_written() -> None:
    """Characters that the terminal's encoding lacks come out as `?`: an answer with a mark less is better than none."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _explain(error: Exception) -> int:
    """Print one message for the error, a traceback for a bug or on demand; the exit code."""
    from ..errors import ExitCode, exit_code, in_words

    code = exit_code(error)
    if code is None and isinstance(error, OSError):
        code = ExitCode.BAD_INPUT
    if code is None or os.environ.get("NORA_BENCH_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    if code is None:
        print("nora-bench: this is a bug; please report it with the lines above", file=sys.stderr)
        return BUG
    print(f"nora-bench: {in_words(error)}", file=sys.stderr)
    return int(code)


def _flush() -> None:
    """Empty stdout now: a reader that has gone (`| head`) must not be reported at exit."""
    if sys.stdout is None:  # closed by who started us
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_explain(error))
