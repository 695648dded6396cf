"""The format of a file of results, by its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...envs.safe_io import read_object
from .csv_file import read_csv
from .episodes import ResultsError, Source
from .lerobot import read_eval_info
from .vla_eval import read_recording, read_results

READERS: dict[str, Callable[[Path], Source]] = {
    "vla-eval": read_results,
    "vla-eval-sqlite": read_recording,
    "lerobot": read_eval_info,
    "csv": read_csv,
}
BUNDLE = "bundle"


def format_of(path: Path) -> str:
    """A key of `READERS`, or `BUNDLE`. Raises ResultsError for other files, OSError for one that cannot be read."""
    with path.open("rb") as handle:
        head = handle.read(64)
    if head.startswith(b"SQLite format 3\0"):
        return "vla-eval-sqlite"
    if head.startswith(b"PK"):
        return BUNDLE
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return "csv"
    try:
        body = read_object(path)
    except ValueError as error:
        raise ResultsError(f"{path} is not a JSON file: {error}") from None
    if "per_task" in body or "per_episode" in body:
        return "lerobot"
    if "tasks" in body:
        return "vla-eval"
    known = "results of vla-eval (tasks), of lerobot (per_task, per_episode), CSV, a bundle"
    raise ResultsError(f"{path} has none of the known formats: {known}")
