"""Integrity of a run's folder: every line, every file that a line names, everything needed to trace a result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator
from typing import Any

import numpy as np
from msgspec import UNSET

from ...envs.errors import StoreError
from ...envs.types import Array
from .reader import StoredRun, action_file, read_action_file
from .records import EpisodeRecord

NEEDED = ("config", "protocol", "policy", "assets", "versions", "counts", "status")
"""Parts of `run.json` without which a result cannot be traced."""


def faults(
    run: StoredRun, note: Callable[[EpisodeRecord], None] = lambda record: None, *, left_out: Container[str] = ()
) -> tuple[str, ...]:
    """Faults of a run on disk, one line each; empty for an intact run. Runs no episode.

    Args:
        run: the run, as read from its folder.
        note: called before each episode is checked.
        left_out: keys of episodes whose actions a bundle omits.
    """
    if run.metadata.imported:
        tool = run.metadata.imported.get("tool")
        return (*run.notes, f"the run was imported from {tool}: it has no actions, so nothing can be replayed or verified")
    problems = [*run.notes, *_run_file(run)]
    for record in run.records:
        note(record)
        problems += (f"{record.key}: {fault}" for fault in _record(run, record))
        if record.success is not None and record.key not in left_out:
            problems += (f"{record.key}: {fault}" for fault in _evidence(run, record))
    return tuple(problems)


def read_actions(run: StoredRun, record: EpisodeRecord) -> Array:
    """The executed actions of an episode, [steps, action size] float64. Raises StoreError for missing or mismatched ones."""
    path = action_file(run.folder, record)
    actions = read_action_file(path)
    if len(actions) != record.steps or not record.steps:
        raise StoreError(f"{path} holds actions {list(actions.shape)}, the record has {record.steps} steps")
    return actions


def actions_digest(actions: Array) -> str:
    """SHA-256 over actions as float64 little-endian, row by row."""
    return hashlib.sha256(np.ascontiguousarray(actions, dtype="<f8").data).hexdigest()


def _run_file(run: StoredRun) -> Iterator[str]:
    missing = [name for name in NEEDED if not getattr(run.metadata, name)]
    if missing:
        yield f"run.json lacks {', '.join(missing)}: its results cannot be traced"
    counts = run.metadata.counts
    if run.metadata.status == "finished" and counts is not UNSET and counts is not None:
        errors = sum(record.success is None for record in run.records)
        if (counts.get("done"), counts.get("errors")) != (len(run.records), errors):
            yield (
                f"run.json counts {counts.get('done')} episodes and {counts.get('errors')} errors, "
                f"episodes.jsonl holds {len(run.records)} and {errors}"
            )


def _record(run: StoredRun, record: EpisodeRecord) -> Iterator[str]:
    if record.spec.key != record.key:
        yield f"its fields are those of {record.spec.key}"
    if (record.success is None) != (record.termination == "error"):
        yield f"success is {record.success} and termination {record.termination}"
    if record.protocol != _part(run, "protocol", "name"):
        yield f"protocol is {record.protocol}, the run's is {_part(run, 'protocol', 'name')}"
    if record.assets.get("fingerprint") != _part(run, "assets", "fingerprint"):
        yield f"assets are {record.assets.get('fingerprint')}, the run's are {_part(run, 'assets', 'fingerprint')}"
    if record.conditions and run.metadata.sessions and record.conditions not in _conditions(run):
        yield f"it was run under conditions ({record.conditions}) that no session of the run has"


def _conditions(run: StoredRun) -> set[str | None]:
    return {session.get("conditions") for session in run.metadata.sessions or ()}


def _evidence(run: StoredRun, record: EpisodeRecord) -> Iterator[str]:
    """Faults in the evidence that replaying a scored episode needs."""
    if not record.trajectory_sha256 or not record.actions:
        yield "no trajectory hash or no actions: it cannot be verified"
        return
    try:
        actions = read_actions(run, record)
    except StoreError as error:
        yield str(error)
        return
    if record.actions_sha256 and actions_digest(actions) != record.actions_sha256:
        yield f"{record.actions} is not the file that was recorded (SHA-256 differs)"


def _part(run: StoredRun, part: str, name: str) -> Any:
    return (getattr(run.metadata, part) or {}).get(name)
