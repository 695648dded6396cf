"""Results of `vla-eval` 0.8: its result files (JSON) and its recordings (SQLite).

An episode with `failure_reason` ended in an error. On LIBERO an episode's number is the index of the published initial state, and
what exceeds them counts as further seeds, as vla-eval itself runs them; on other benchmarks the initial state is not known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ...envs.safe_io import parse_json, read_object, visible
from .episodes import ForeignEpisode, ResultsError, Source
from .fields import flag, number, seconds, text

TOOL = "vla-eval"
LIBERO = "LIBEROBenchmark"
STATES = 50
"""Published initial states of each task of LIBERO."""
FACTS = ("benchmark", "mode", "harness_version", "config", "seed", "render", "partial", "eval_id")
LARGEST_DATABASE = 1 << 30
"""Bytes."""
MOST_STEPS = 20_000
"""Hundred thousands of operations of SQLite that reading may take."""
ROWS = """
    SELECT eval_id, task_name, episode_id, status, metrics, steps, elapsed_sec, context, failure_reason, failure_detail
    FROM episode_results
    WHERE rowid IN (
        SELECT MAX(rowid) FROM episode_results
        GROUP BY eval_id, task_name, episode_id, CASE WHEN json_valid(context) THEN json_extract(context, '$.task_idx') END
    )
    ORDER BY rowid LIMIT 1000000
"""
"""Of each item of work the row that was committed last, as vla-eval's own export takes it."""


def read_results(path: Path) -> Source:
    """The episodes of a result file. Raises ResultsError for anything else."""
    try:
        body = read_object(path)
        return Source(
            path=path, tool=TOOL, episodes=tuple(_of_result(body)), facts=_facts(body), created=text(body, "created_at")
        )
    except ValueError as error:
        raise ResultsError(f"{path} is not a result file of vla-eval: {error}") from None


def read_recording(path: Path) -> Source:
    """The episodes of a recording. Raises ResultsError for anything else."""
    if path.stat().st_size > LARGEST_DATABASE:
        raise ResultsError(f"{path} exceeds {LARGEST_DATABASE >> 30} GiB. Type: vla-eval export, and import its JSON files")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            evaluations, rows = _query(database)
        metadata = {name: _object(content) for name, content in evaluations}
        episodes = [_of_row(metadata.get(row[0], {}), row) for row in rows]
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise ResultsError(f"{path} is not a recording of vla-eval: {error}") from None
    facts = _facts(next(iter(metadata.values()), {}))
    return Source(path=path, tool=TOOL, episodes=tuple(episodes), facts=facts)


def _query(database: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
    """Rows of eval_metadata and of `ROWS`. Views and virtual tables in their place are rejected: they are code of the author."""
    database.execute("PRAGMA trusted_schema = OFF")
    steps = iter(range(MOST_STEPS))
    database.set_progress_handler(lambda: int(next(steps, None) is None), 100_000)
    for table in ("eval_metadata", "episode_results"):
        found = database.execute("SELECT sql FROM sqlite_master WHERE name = ? AND type = 'table'", (table,)).fetchone()
        if not found or "VIRTUAL" in str(found[0]).upper().split():
            raise ValueError(f"it has no table {table}")
    return database.execute("SELECT eval_id, metadata FROM eval_metadata").fetchall(), database.execute(ROWS).fetchall()


def _facts(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in FACTS if name in body}


def _of_result(body: Mapping[str, Any]) -> Iterator[ForeignEpisode]:
    tasks = body.get("tasks")
    if not isinstance(tasks, list):
        raise ValueError("tasks is not a list")
    for task in tasks:
        episodes = task.get("episodes") if isinstance(task, dict) else None
        if not isinstance(episodes, list) or not all(isinstance(episode, dict) for episode in episodes):
            raise ValueError("a task has no list of episodes")
        for episode in episodes:
            yield _episode(body, text(task, "task"), episode)


def _of_row(body: Mapping[str, Any], row: tuple[Any, ...]) -> ForeignEpisode:
    _, name, identity, status, metrics, steps, elapsed, context, reason, detail = row
    values = {"episode_id": identity, "steps": steps, "elapsed_sec": elapsed, "metrics": _object(metrics)}
    failure = reason or ("unknown" if status == "error" else None)
    failed = {"failure_reason": failure, "failure_detail": detail} if failure else {}
    if not isinstance(name, str):
        raise ValueError("a row has no task_name")
    return _episode(body, name, {**_object(context), **values, **failed})


def _object(content: Any) -> dict[str, Any]:
    value = parse_json(visible(content.encode())) if isinstance(content, str) and content else {}
    if not isinstance(value, dict):
        raise ValueError(f"{str(content)[:80]!r} is not a JSON object")
    return value


def _episode(body: Mapping[str, Any], task: str, values: Mapping[str, Any]) -> ForeignEpisode:
    success, error = _outcome(values)
    config = body.get("config")
    params = config.get("params") if isinstance(config, dict) else None
    suite = text(values, "suite") or (text(params, "suite") if isinstance(params, dict) else "")
    init_set, state, seed = _scene(str(body.get("benchmark", "")), values)
    return ForeignEpisode(
        suite=suite,
        task=task,
        success=success,
        error=error,
        cause=text(values, "cause") if values.get("cause") in ("policy", "machine") else "",
        variant=text(values, "variant"),
        init_set=init_set,
        init_state=state,
        seed=seed,
        steps=number(values, "steps") or 0,
        seconds=seconds(values, "elapsed_sec"),
    )


def _outcome(values: Mapping[str, Any]) -> tuple[bool | None, str]:
    """(success, error): an error where the episode failed for another reason than its task, or has no success."""
    reason, detail = text(values, "failure_reason"), text(values, "failure_detail")
    if reason:
        return None, detail if detail == reason or detail.startswith(
            f"{reason}:"
        ) else f"{reason}: {detail}" if detail else reason
    metrics = values.get("metrics")
    success = flag(metrics, "success") if isinstance(metrics, dict) else None
    return success, "" if success is not None else "the result has no success"


def _scene(benchmark: str, values: Mapping[str, Any]) -> tuple[str, int | None, int]:
    """(set, initial state, seed). nora-bench's own exports name them; LIBERO's follow from the episode's number."""
    if "init_state" in values:
        return text(values, "init_set"), number(values, "init_state"), number(values, "seed") or 0
    identity = number(values, "episode_id")
    if benchmark.rpartition(":")[2].rpartition(".")[2] != LIBERO or identity is None:
        return "", None, 0
    state = number(values, "episode_idx")
    return "", identity % STATES if state is None else state, identity // STATES
