"""`nora-bench data fit-tokenizer`: the FAST action tokenizer, fitted on demonstrations."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from ..data.dataset import PadActions
from .options import DataOption, DryRunOption, GripperOption, JsonOption, print_line

if TYPE_CHECKING:
    from ...policies.nora.action_stats import NormStats

CHUNK_S = 5e-5
"""Rough seconds per chunk to read, fit and examine, on one core."""
MAX_VOCAB = 2048
"""Action tokens in the vocabulary of the family's models."""


def fit_tokenizer(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for the tokenizer, in the released layout.")],
    chunk_size: Annotated[int, typer.Option("--chunk-size", min=1, help="Actions per chunk.")] = 5,
    pad_actions: Annotated[PadActions, typer.Option("--pad-actions", help="Actions after an episode's last one.")] = "repeat",
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=256, max=MAX_VOCAB, help="Tokens.")] = 1024,
    scale: Annotated[float, typer.Option("--scale", min=0.1, help="Factor on coefficients before rounding.")] = 10.0,
    smoothing: Annotated[
        float, typer.Option("--label-smoothing-steps", min=0, help="As data.label_smoothing_steps of a recipe.")
    ] = 0.0,
    gripper: GripperOption = None,
    keep_noops: Annotated[bool, typer.Option("--keep-noops", help="Keep steps without motion.")] = False,
    bounds: Annotated[
        Literal["quantiles", "extremes"], typer.Option("--bounds", help="Scaling of -1 and 1: q01, q99 or min, max.")
    ] = "quantiles",
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--statistics",
            help="Checkpoint whose statistics scale the chunks, where training starts from it with data.statistics=start.",
            show_default="of the demonstrations",
        ),
    ] = None,
    share: Annotated[float, typer.Option("--validation", min=0, max=0.9, help="Share of episodes for validation.")] = 0.05,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fit the FAST action tokenizer on demonstrations; report tokens per chunk and the error on validation episodes.

    Example: `nora-bench data fit-tokenizer --data demonstrations --out tokenizer`

    Also writes the statistics that normalised the chunks, `norm_stats.json`.
    """
    from ...policies.fast import FastTokenizer
    from ..data.dataset import STATISTICS_FILE, Chunking, bounds_of, statistics, write_statistics
    from ..data.readers import read, smoothed, split, without_noops
    from ..data.tokenizer import all_chunks, examine

    console = Console(stderr=as_json)
    source = read(data, gripper=gripper)
    smooth = [smoothed(d, smoothing) for d in source.demonstrations]
    demonstrations = smooth if keep_noops else list(map(without_noops, smooth))
    training, validation = split(demonstrations, share)
    steps = sum(map(len, training))
    print_line(
        console,
        f"{len(training)} demonstrations for fitting, {len(validation)} for validation; {steps} chunks of {chunk_size} at most; "
        f"about {max(1, round(steps * CHUNK_S))} s -> {out}",
    )
    for note in source.notes:
        print_line(console, note)
    if dry_run:
        return
    started = time.monotonic()
    measured = statistics(training)
    stats = _of_checkpoint(checkpoint, measured) if checkpoint else {s: bounds_of(entry, bounds) for s, entry in measured.items()}
    chunking = Chunking(chunk_size, pad_actions)
    fitted = FastTokenizer.fit(list(all_chunks(training, stats, chunking)), scale=scale, vocab_size=vocab_size)
    fitted.save(out)
    write_statistics(out / STATISTICS_FILE, measured, stats)
    report = examine(fitted, all_chunks(validation or training, stats, chunking))
    on = "validation" if validation else "training"
    print_line(
        console,
        f"{report.tokens_mean:.2f} tokens per chunk of {chunk_size} x {len(next(iter(stats.values())).low)} "
        f"(at most {report.tokens_max}) on {report.chunks} {on} chunks; error {report.rmse:.4f} (rms), {report.worst:.4f} "
        f"(largest), normalised; {report.bad} chunks fail to decode, {report.cut} are truncated; "
        f"{time.monotonic() - started:.1f} s",
    )
    if as_json:
        print(json.dumps({"folder": str(out), "vocab_size": vocab_size, "examined_on": on, **report.to_json()}))


def _of_checkpoint(checkpoint: str, suites: Iterable[str]) -> dict[str, NormStats]:
    """The checkpoint's own statistics of each suite."""
    from ...policies.nora.action_stats import Statistics
    from ...policies.nora.checkpoint import open_checkpoint

    known = Statistics(open_checkpoint(checkpoint).norm_stats, None)
    return {suite: known.of(suite) for suite in suites}
