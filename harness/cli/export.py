"""`nora-bench export`: a run in the formats of other tools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from ...results.store.reader import StoredRun


Format = Literal["jsonl", "parquet", "lerobot", "inspect"]
ENDINGS: dict[Format, str] = {"jsonl": ".jsonl", "parquet": ".parquet", "lerobot": "-lerobot"}


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    form: Annotated[
        Format, typer.Option("--format", help="Rows (jsonl, parquet), a data set of rollouts (lerobot), an eval log (inspect).")
    ],
    out: Annotated[Path | None, typer.Option(help="New file, or folder for lerobot. [./RUN.jsonl, ./RUN-lerobot ...]")] = None,
    assets: Annotated[str, typer.Option(help="lerobot: render with this pack or folder; the run's own by default.")] = "",
    fps: Annotated[int, typer.Option(min=1, help="lerobot: control steps per second.")] = 20,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:NAME",
            envvar="NORA_BENCH_TRUST",
            help="lerobot: a suite of the run that may be imported.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Export a run to a format of other tools.

    Example: `nora-bench export runs/libero-nora --format parquet`

    `lerobot` replays every episode to render the policy's observations; those whose replay differs from the record are omitted,
    and the command ends with 1.
    """
    from ...envs.errors import ExitCode, InputError
    from ...results.store.reader import read_run
    from .output import emit, say

    run = read_run(folder)
    target = out or _usual_name(run, form)
    if target.exists():
        raise InputError(f"{target} exists; choose another name with --out")
    if not target.absolute().parent.is_dir():
        raise InputError(f"--out {target}: folder not found: {target.parent}. Type: mkdir -p {target.parent}")
    count, left_out = _write(run, form, target, {"fps": fps, "assets": assets, "trusted": trust or ()}, quiet=as_json)
    written = {"out": str(target), "episodes": count, "left_out": left_out}
    emit(as_json, written, lambda values: say(f"{values['episodes']} episodes -> {values['out']}"))
    if left_out:
        raise typer.Exit(int(ExitCode.ISSUES_FOUND))


def _usual_name(run: StoredRun, form: Format) -> Path:
    if form != "inspect":
        return Path(f"{run.name}{ENDINGS[form]}")
    created = re.sub(r"[^0-9A-Za-z+.-]", "-", run.metadata.created or "1970-01-01T00:00:00+00:00")
    return Path(f"{created}_nora-bench_{run.name.replace('_', '-')}.json")  # names like these are what Inspect lists


def _write(run: StoredRun, form: Format, out: Path, replayed: Mapping[str, Any], *, quiet: bool) -> tuple[int, list[str]]:
    """Number of episodes written, and the omitted ones; `replayed` are arguments of `write_lerobot`."""
    from ..export.inspect_log import write_inspect
    from ..export.lerobot import write_lerobot
    from ..export.rows import write_jsonl, write_parquet

    if form == "lerobot":
        written = write_lerobot(run, out, note=(lambda line: None) if quiet else print, **replayed)
        return written.episodes, list(written.left_out)
    writers = {"jsonl": write_jsonl, "parquet": write_parquet, "inspect": write_inspect}
    return writers[form](run, out), []
