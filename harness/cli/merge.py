"""`nora-bench merge`: runs of one policy from several machines, as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..merge import MergeResult

SHOWN = 20
"""Keys of each kind that are printed; `--json` has all."""


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="A B...", help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="Folder of the merged run; never overwritten.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Join runs of one policy from several machines.

    Example: `nora-bench merge runs/machine-a runs/machine-b --out runs/all`

    Rejected where they differ in protocol, step limit, assets, backend or policy. Other differences (versions, drivers, hardware)
    are printed and kept with the sessions. Ends with 1 where an episode has two outcomes or lacks its actions.
    """
    from ...envs.errors import ExitCode
    from ...results.store.reader import read_run
    from ..merge import merge as join
    from .output import emit

    merged = join([read_run(folder) for folder in folders], out)
    emit(as_json, merged, _print)
    if not merged.clean:
        raise typer.Exit(int(ExitCode.ISSUES_FOUND))


def _print(merged: MergeResult) -> None:
    for name, values in merged.differences.items():
        print(f"! the sessions differ in {name}: {', '.join(map(str, values))}")
    for title, keys in (
        ("has two outcomes and counts as an error", merged.contradictory),
        ("has two trajectories and one outcome", merged.other_states),
        ("has no actions that could be copied", merged.without_actions),
    ):
        for key in keys[:SHOWN]:
            print(f"! {key} {title}")
        if len(keys) > SHOWN:
            print(f"! ... and {len(keys) - SHOWN} more; --json lists all")
    alike = f" ({merged.identical} identical duplicates omitted)" if merged.identical else ""
    print(f"{merged.episodes} episodes{alike} -> {merged.run}")
