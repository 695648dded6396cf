"""`nora-bench train tokenizer`: FAST, fitted on demonstrations."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from .data_options import GripperOption

CHUNK_S = 5e-5
"""Rough seconds per chunk to read, fit and examine, on one core."""
MOST = 2048
"""Action tokens that the family's models have."""


def tokenizer(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of demonstrations, HDF5 or LeRobot; can be given again.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the tokenizer, laid out as the released one.")],
    length: Annotated[int, typer.Option("--length", min=1, help="Actions per chunk.")] = 5,
    end: Annotated[
        Literal["repeat", "still", "released", "drop"], typer.Option("--end", help="What stands for actions after the last.")
    ] = "repeat",
    vocab: Annotated[int, typer.Option("--vocab", min=256, max=MOST, help="Tokens.")] = 1024,
    scale: Annotated[float, typer.Option("--scale", min=0.1, help="Coefficients are multiplied by it and rounded.")] = 10.0,
    smooth: Annotated[float, typer.Option("--smooth", min=0, help="As `data.smooth` of the supervised recipe, in steps.")] = 0.0,
    gripper: GripperOption = None,
    keep_noops: Annotated[bool, typer.Option("--keep-noops", help="Keep steps in which nothing is done.")] = False,
    bounds: Annotated[
        Literal["quantiles", "extremes"], typer.Option("--bounds", help="What -1 and 1 stand for: q01, q99 or min, max.")
    ] = "quantiles",
    share: Annotated[float, typer.Option("--validation", min=0, max=0.9, help="Share of episodes kept for the report.")] = 0.05,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit the FAST action tokenizer on demonstrations; report tokens per chunk and what is lost on validation episodes.

    Example: `nora-bench train tokenizer --data demonstrations --out tokenizer`

    Also writes the statistics that the chunks were normalised with, `norm_stats.json`.
    """
    from ...policies.fast import FastTokenizer
    from ..data import action_stats
    from ..data.dataset import Chunking, split, statistics
    from ..data.filters import smoothed, without_noops
    from ..data.readers import read
    from ..data.tokenizer import all_chunks, examine

    console = Console(stderr=as_json)
    found = read(data, gripper=gripper)
    steady = [smoothed(d, smooth) for d in found.demonstrations]
    demonstrations = steady if keep_noops else list(map(without_noops, steady))
    training, validation = split(demonstrations, share)
    steps = sum(map(len, training))
    _say(console, _plan(len(training), len(validation), steps, length, out))
    for note in found.notes:
        _say(console, note)
    if dry_run:
        return
    started = time.monotonic()
    measured = statistics(training)
    stats = {suite: action_stats.bounds(entry, bounds) for suite, entry in measured.items()}
    chunking = Chunking(length, end)
    fitted = FastTokenizer.fit(list(all_chunks(training, stats, chunking)), scale=scale, vocab_size=vocab)
    fitted.save(out)
    action_stats.write(out / action_stats.FILE, measured, stats)
    report = examine(fitted, all_chunks(validation or training, stats, chunking))
    on = "validation" if validation else "training"
    _say(
        console,
        f"{report.tokens_mean:.2f} tokens per chunk of {length} x {len(measured and next(iter(stats.values())).low)} "
        f"(at most {report.tokens_max}) on {report.chunks} {on} chunks; error {report.rmse:.4f} (rms), {report.worst:.4f} "
        f"(largest), normalised; {report.bad} chunks do not decode, {report.cut} are cut; {time.monotonic() - started:.1f} s",
    )
    if as_json:
        print(json.dumps({"folder": str(out), "vocab": vocab, "examined_on": on, **report.to_json()}))


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _plan(training: int, validation: int, steps: int, length: int, out: Path) -> str:
    """What will be fitted, and how long that takes."""
    return (
        f"{training} demonstrations to fit on, {validation} to validate on; {steps} chunks of {length} at most; "
        f"about {max(1, round(steps * CHUNK_S))} s -> {out}"
    )
