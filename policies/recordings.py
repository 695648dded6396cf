"""Recorded episodes as policies read them: a run's records and the action files that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.errors import PolicyError
from ..envs.safe_io import inside, parse_json, read_array


def read_records(run: Path) -> Iterator[Mapping[str, Any]]:
    """The fields of every whole line of a run's `episodes.jsonl`. Raises PolicyError where there is no such file."""
    try:
        lines = (run / "episodes.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise PolicyError(f"{run} is not a run that can be replayed: {error.strerror}: {run / 'episodes.jsonl'}") from None
    return (record for record in map(_record, lines) if record)


def _record(line: str) -> Mapping[str, Any]:
    """One line's fields; nothing for a line that was torn when its writer was killed."""
    try:
        record = parse_json(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("key"), str) else {}


def action_file(run: Path, record: Mapping[str, Any]) -> Path:
    """Where a record's actions are. Raises PolicyError for a name that leads out of the run's folder."""
    try:
        return inside(run, record["actions"])
    except ValueError:
        raise PolicyError(f"{run / 'episodes.jsonl'} names an action file outside the run: {record['actions']!r}") from None


def read_actions(path: Path) -> np.ndarray:
    """[steps, action size] float64. Raises PolicyError for anything else; refuses files that would run code."""
    try:
        actions = read_array(path)
    except (OSError, ValueError, EOFError) as error:
        raise PolicyError(f"{path} is not a .npy file of actions: {error}") from None
    numbers = isinstance(actions, np.ndarray) and actions.ndim == 2 and actions.dtype.kind in "fiu"
    if not numbers or not np.isfinite(actions).all():
        raise PolicyError(f"{path} must hold finite numbers [steps, action size]")
    return actions.astype(np.float64)
