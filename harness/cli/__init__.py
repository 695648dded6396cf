"""The command line: one file per verb.

Each verb lives in `harness/cli/<verb>.py` (`import` in `import_.py`, those of `HOMES` in another package's `cli/`) and defines
one function of that name, with typer annotations and a docstring that holds an example, or a typer application of that name
where the verb has parts (`train sft`). A verb's module is imported when that verb is called, so that `--help` stays fast.
Exit codes are listed in `envs/errors.py`.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ...envs.errors import nearest

VERBS: dict[str, str] = {
    "plan": "Number of initial states and seeds that a comparison needs, before a run.",
    "run": "Run episodes of a suite with a policy and record each one.",
    "table": "Print success rates in the papers' layout beside published rows.",
    "show": "Summarise a run: configuration, progress, errors, episodes.",
    "compare": "Compare runs with paired tests.",
    "merge": "Merge runs of one policy from several machines.",
    "report": "Write runs as one self-contained HTML page.",
    "collect": "Collect perturbed demonstrations of an expert in LIBERO's own layout.",
    "data": "Prepare training data: render images, regenerate LIBERO's demonstrations, fit the action tokenizer.",
    "train": "Train a policy, a world model, or a policy on preferences.",
    "label-preferences": "Label preference pairs from sampled actions.",
    "measure-rewards": "Measure rewards against the simulator: candidates are executed and their outcomes compared.",
    "export-checkpoint": "Write a checkpoint without its training state, in a smaller type.",
    "reproduce": "Run the papers' pipeline at nano scale, from training to tables; plan it at full size.",
    "export": "Export a run: rows, data sets, logs and results of other tools, one verifiable file.",
    "import": "Import results of other tools, or a bundle, as a run.",
    "trials": "Record trials on a real robot as a run.",
    "serve": "Serve a policy to other processes and machines.",
    "replay": "Replay a stored episode, verify it, render its video.",
    "failures": "Classify a run's failures by rules; make strips of images to label them.",
    "verify": "Verify a stored run: check its files and replay a sample.",
    "selfcheck": "Check that this installation gives correct results (minutes).",
    "parity": "Compare this machine with reference recordings.",
    "list": "List suites, tasks, policies and protocols.",
    "new": "Create a plug-in package from a template.",
    "assets": "List, verify or fetch the meshes and textures of the suites.",
    "diagnose": "Find the convention that makes a policy fail: images, gripper, statistics, prompt ...",
    "doctor": "Check the installation and suggest fixes.",
}
"""Verb -> its line in `nora-bench --help`, in the order shown."""

RENAMED_VERBS: dict[str, str] = {"label": "label-preferences"}
"""Former verb -> the present one."""

HOMES: dict[str, str] = dict.fromkeys(
    ("collect", "data", "train", "label-preferences", "measure-rewards", "export-checkpoint", "reproduce"), "training"
)
"""Verb -> its package, where that is not the harness. Only this table and `COMPARISONS` name packages above the harness."""

COMPARISONS: dict[str, tuple[str, ...]] = {"nora": ("nora_bench.policies.nora.parity.compare", "nora_bench.training.parity")}
"""Family of recordings -> modules whose `compare(recordings)` compares them with nora-bench."""

RENAMED_OPTIONS: dict[str, str] = {
    "report --films": "--videos",
    "report --megabytes": "--max-video-mb",
    "assets --side": "--image-size",
    "trials --tasks": "--list-tasks",
    "parity --pictures": "--images",
    "parity --no-pictures": "--no-images",
}
"""Verb and former spelling of an option -> the present one."""


BUG = 70
"""Exit code of an unexpected error (EX_SOFTWARE), which prints a traceback."""

STYLE: dict[str, Any] = {
    "rich_markup_mode": "markdown",
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def build(verb: str) -> Any:
    """The command of one verb, built from its function or application (imports the verb's module)."""
    home = f"nora_bench.{HOMES[verb]}.cli" if verb in HOMES else __name__
    name = verb.replace("-", "_") + "_" * iskeyword(verb)
    defined = getattr(import_module(f".{name}", home), name)
    if isinstance(defined, typer.Typer):
        return typer.main.get_command(defined)
    app = typer.Typer(add_completion=False, **STYLE)
    app.command(verb)(defined)
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
            if verb in RENAMED_VERBS:
                ctx.fail(f"{verb!r} is now {RENAMED_VERBS[verb]!r}.")
            ctx.fail(f"Unknown verb {verb!r}{nearest(verb, VERBS)}.")
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and build(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the verb. Former spellings of options end with the present one."""
        try:
            return super().invoke(ctx)
        except Exception as error:  # NoSuchOption, which typer keeps in a private module
            option, verb = getattr(error, "option_name", ""), getattr(error, "ctx", None)
            former = f"{verb.command_path.partition(' ')[2]} {option}" if verb and option else ""
            if verb is None or former not in RENAMED_OPTIONS:
                raise
            verb.fail(f"{option} is now {RENAMED_OPTIONS[former]}")


app = typer.Typer(cls=Verbs, **STYLE)


def _version(requested: bool) -> None:
    if requested:
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
    """Evaluate and train robot policies on LIBERO and SimplerEnv: run episodes, record each one, print the papers' tables.

    Example: `nora-bench run --suite libero_goal --policy zero --episodes 1`
    """
    if debug:
        os.environ["NORA_BENCH_DEBUG"] = "1"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with a documented exit code."""
    _replace_unencodable_characters()
    try:
        app(args=args, prog_name="nora-bench")
    except Exception as error:
        sys.exit(_explain(error))
    finally:
        _flush()


def _replace_unencodable_characters() -> None:
    """Print characters outside the terminal's encoding as `?` instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _explain(error: Exception) -> int:
    """Print a message for the error, and a traceback for a bug or on demand; return the exit code."""
    from ...envs.errors import ExitCode, exit_code, message_for

    code = exit_code(error)
    if code is None and isinstance(error, OSError):
        code = ExitCode.BAD_INPUT
    if code is None or os.environ.get("NORA_BENCH_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    if code is None:
        print("nora-bench: this is a bug; please report it with the lines above", file=sys.stderr)
        return BUG
    print(f"nora-bench: {message_for(error)}", file=sys.stderr)
    return int(code)


def _flush() -> None:
    """Flush standard output now: a closed pipe (`| head`) must not be reported at exit."""
    if sys.stdout is None:  # closed by the parent process
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_explain(error))
