"""`nora-bench verify`: verify a stored run."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Trust

if TYPE_CHECKING:
    from ..replay.verify import Verification

SHOWN = 20
"""Maximum of printed lines per kind of problem; `--json` has all."""


def verify(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or a bundle of one.")],
    sample: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the episodes to replay; 0 for none.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    assets: Annotated[str, typer.Option(help="Asset pack or folder.", show_default="the run's")] = "",
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check the files of a run, or of a bundle of one, and replay a random sample of its episodes from their recorded actions.

    Example: `nora-bench verify runs/libero-scripted --sample 0.05`

    A replay verifies that the recorded actions lead to the recorded states and outcome. It does not query the policy; to
    verify the policy's actions, repeat the run (`nora-bench run --config RUN/run.json`).

    Exit code 0 where every line, file and replay matches the record, 1 otherwise.
    """
    from rich.console import Console

    from ...results.store.bundle import Bundle, open_bundle
    from ...results.store.reader import read_run
    from ..replay import verify as verification
    from .bar import counting

    opened = open_bundle(folder) if folder.is_file() else nullcontext(Bundle(read_run(folder), "", frozenset()))
    with opened as bundle:
        run, left_out = bundle.run, bundle.left_out
        replayable = sample and not run.metadata.imported
        chosen = verification.sample_of(run.records, sample, seed, left_out) if replayable else []
        with counting(Console(stderr=True), "replaying", len(chosen)) as advance:
            verified = verification.verify(
                run, chosen, assets=assets, trusted=trust or (), note=lambda record: advance(1), left_out=left_out
            )
    if bundle.digest:
        verified = _without_folder(verified, run.folder)
    if as_json:
        facts = {"digest": bundle.digest, "without_actions": len(left_out)} if bundle.digest else {}
        print(json.dumps({**verified.to_json(), **facts}))
    else:
        _print(verified)
        if bundle.digest:
            print(f"Bundle: {len(left_out)} episodes without actions, digest {bundle.digest}")
    if not verified.holds:
        raise typer.Exit(1)


def _without_folder(verified: Verification, folder: Path) -> Verification:
    """The lines with names relative to the folder, which is temporary."""
    from dataclasses import replace

    lines = {name: tuple(line.replace(f"{folder}/", "") for line in getattr(verified, name)) for name in ("faults", "differing")}
    return replace(verified, **lines)


def _print(verified: Verification) -> None:
    for line in _short(verified.faults):
        print(f"FAULT   {line}")
    for line in _short(verified.differing):
        print(f"DIFFERS {line}")
    matching = verified.replayed - len({line.partition(": ")[0] for line in verified.differing})
    print(
        f"{verified.run}: {verified.records} episodes, {len(verified.faults)} faults; "
        f"{matching} of {verified.replayed} replays match"
    )
    if verified.records and not verified.replayed:
        print("No episode was replayed, so the outcomes are not verified.")
    elif verified.holds and verified.replayed < verified.records:
        print(f"With this sample at most {verified.unseen:.1%} of the episodes may differ (95 % confidence).")
    if verified.replayed:
        print("Replays verify that the actions lead to these results, not that the policy returns these actions.")
    print(("This run is valid." if verified.replayed else "The files are valid.") if verified.holds else "This run is NOT valid.")


def _short(lines: tuple[str, ...]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"... and {more} more; --json lists all"] if more > 0 else [])]
