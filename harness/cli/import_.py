"""`nora-bench import`: results of other tools, or a bundle, as a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..imports.episodes import ImportResult


def import_(
    file: Annotated[Path, typer.Argument(help="Results of vla-eval (JSON, SQLite), lerobot's eval_info.json, CSV, or a bundle.")],
    policy: Annotated[str, typer.Option(help="Name of the evaluated policy; a bundle has its own.")] = "",
    suite: Annotated[str, typer.Option(help="Suite, where the file does not name it.")] = "",
    protocol: Annotated[str, typer.Option(help="Protocol that the evaluation followed, as far as you know.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="runs/POLICY-imported")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Import results of another tool as a run that `table`, `compare` and `report` take beside measured ones.

    Example: `nora-bench import eval_info.json --policy smolvla --protocol libero/openvla`

    Imported runs are tagged and cannot be replayed. Without --protocol, `compare` needs --anyway. Columns of a CSV file: task,
    success; optional: suite, init_state, seed, variant, steps, seconds, error, cause. Episodes without a known initial state are
    compared unpaired.
    """
    from ...envs.errors import InputError
    from ..imports.episodes import store_run
    from ..imports.formats import BUNDLE, READERS, format_of
    from .output import emit

    form = format_of(file)
    if form == BUNDLE:
        if given := [name for name, value in {"policy": policy, "suite": suite, "protocol": protocol}.items() if value]:
            raise InputError(f"{file} is a bundle, which has its own {given[0]}; omit --{given[0]}", option=f"--{given[0]}")
        emit(as_json, _unpack(file, out), _print)
        return
    folder = out or Path("runs") / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', policy).strip('.-')}-imported"
    emit(as_json, store_run(READERS[form](file), folder, policy=policy, suite=suite, protocol=protocol), _print)


def _unpack(file: Path, out: Path | None) -> ImportResult:
    """Copy the run of a bundle into its folder."""
    import shutil

    from ...envs.errors import InputError
    from ...results.store.bundle import open_bundle
    from ..imports.episodes import ImportResult

    with open_bundle(file) as bundle:
        run = bundle.run
        folder = out or Path("runs") / run.name
        if folder.exists():
            raise InputError(f"{folder} exists; choose another name with --out")
        shutil.copytree(run.folder, folder)
        successes, errors = sum(bool(record.success) for record in run.records), sum(r.success is None for r in run.records)
        return ImportResult(str(folder), "bundle", len(run.records), successes, errors, keyed=True)


def _print(result: ImportResult) -> None:
    print(f"{result.episodes} episodes of {result.tool}: {result.successes} successes, {result.errors} errors -> {result.folder}")
    if not result.keyed:
        print("! initial states are not known: compared unpaired")
    print(f"see `nora-bench show {result.folder}`")
