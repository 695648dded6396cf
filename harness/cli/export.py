"""`nora-bench export`: a run in the formats of other tools."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from ...results.store.reader import StoredRun


Format = Literal["jsonl", "parquet", "lerobot", "inspect", "eee", "hf", "vla-eval", "bundle"]
ENDINGS: dict[Format, str] = {
    "jsonl": ".jsonl",
    "parquet": ".parquet",
    "lerobot": "-lerobot",
    "eee": "-eee",
    "hf": "-hf",
    "vla-eval": "-vla-eval",
    "bundle": ".bundle.zip",
}
NON_EMPTY = ("lerobot", "eee", "hf", "vla-eval")
"""Formats that cannot express a run without episodes."""
HELP = (
    "Rows (jsonl, parquet), a data set of rollouts (lerobot), an eval log (inspect), Every Eval Ever (eee), results of a model "
    "on the Hub (hf), vla-eval's results (vla-eval), one verifiable file (bundle)."
)


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    form: Annotated[Format, typer.Option("--format", help=HELP)],
    out: Annotated[Path | None, typer.Option(help="New file or folder. [./RUN.jsonl, ./RUN-lerobot ...]")] = None,
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
    model: Annotated[str, typer.Option(metavar="ORG/NAME", help="eee, vla-eval: the evaluated model.")] = "",
    organization: Annotated[str, typer.Option(metavar="NAME", help="eee: who ran the evaluation.")] = "",
    dataset: Annotated[str, typer.Option(metavar="ORG/NAME", help="hf: the benchmark's data set on the Hub.")] = "",
    url: Annotated[str, typer.Option(help="hf: page with the evaluation's logs.")] = "",
    all_actions: Annotated[bool, typer.Option("--all-actions", help="bundle: all actions, whatever the size.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Export a run to a format of other tools.

    Example: `nora-bench export runs/libero-nora --format parquet`

    `lerobot` replays every episode to render the policy's observations; those whose replay differs from the record are omitted.
    `hf` and the leaderboard row of `vla-eval` omit suites that were not evaluated whole on the benchmark's assets. Where anything
    is omitted, it is named and the command ends with 1.
    """
    from ...envs.errors import ExitCode, InputError
    from ...results.store.reader import read_run
    from .output import emit, say

    run = read_run(folder)
    if not run.records and form in NON_EMPTY:
        raise InputError(f"{folder} has no episodes, and --format {form} needs some. Type: nora-bench show {folder}")
    if run.notes:
        print(f"Run {run.name}: {len(run.notes)} faults in its files; see `nora-bench show {folder}`.", file=sys.stderr)
    target = out or _usual_name(run, form)
    if target.exists():
        raise InputError(f"{target} exists; choose another name with --out")
    if not target.absolute().parent.is_dir():
        raise InputError(f"--out {target}: folder not found: {target.parent}. Type: mkdir -p {target.parent}")
    replayed = {"fps": fps, "assets": assets, "trusted": trust or (), "note": (lambda line: None) if as_json else print}
    named = {"model": model, "organization": organization, "dataset": dataset, "url": url}
    written = {"out": str(target), **_writers(replayed, named, all_actions)[form](run, target)}
    emit(as_json, written, lambda values: say(_lines(values, form)))
    if written["left_out"]:
        raise typer.Exit(int(ExitCode.ISSUES_FOUND))


def _usual_name(run: StoredRun, form: Format) -> Path:
    if form != "inspect":
        return Path(f"{run.name}{ENDINGS[form]}")
    created = re.sub(r"[^0-9A-Za-z+.-]", "-", run.metadata.created or "1970-01-01T00:00:00+00:00")
    return Path(f"{created}_nora-bench_{run.name.replace('_', '-')}.json")  # names like these are what Inspect lists


def _lines(values: Mapping[str, Any], form: Format) -> list[str]:
    omitted = (
        [] if form == "lerobot" else [f"omitted: {reason}" for reason in values["left_out"]]
    )  # lerobot prints them as it runs
    more = [f"{values['with_actions']} with actions, digest {values['digest']}"] if form == "bundle" else []
    return [*omitted, f"{values['episodes']} episodes -> {values['out']}", *more]


Writer = Callable[["StoredRun", Path], dict[str, Any]]


def _writers(replayed: Mapping[str, Any], named: Mapping[str, str], all_actions: bool) -> dict[Format, Writer]:
    """Format -> its writer, which returns what `--json` prints.

    Args:
        replayed: arguments of `write_lerobot`.
        named: `model`, `organization`, `dataset` and `url`, as typed.
        all_actions: see `write_bundle`.
    """
    from dataclasses import asdict

    from ...results.store.bundle import write_bundle
    from ..export.eee import write_eee
    from ..export.hub import write_hub
    from ..export.inspect_log import write_inspect
    from ..export.lerobot import write_lerobot
    from ..export.rows import write_jsonl, write_parquet
    from ..export.vla_eval import write_vla_eval

    def counted(episodes: int, left_out: list[str] | None = None) -> dict[str, Any]:
        return {"episodes": episodes, "left_out": left_out or []}

    def lerobot(run: StoredRun, out: Path) -> dict[str, Any]:
        written = write_lerobot(run, out, **replayed)
        return counted(written.episodes, list(written.left_out))

    return {
        "jsonl": lambda run, out: counted(write_jsonl(run, out)),
        "parquet": lambda run, out: counted(write_parquet(run, out)),
        "inspect": lambda run, out: counted(write_inspect(run, out)),
        "lerobot": lerobot,
        "eee": lambda run, out: counted(write_eee(run, out, model=named["model"], organization=named["organization"])),
        "hf": lambda run, out: counted(*write_hub(run, out, dataset=named["dataset"], url=named["url"])),
        "vla-eval": lambda run, out: counted(*write_vla_eval(run, out, model=named["model"])),
        "bundle": lambda run, out: {**asdict(write_bundle(run, out, all_actions=all_actions)), "left_out": []},
    }
