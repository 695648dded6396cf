"""Failure classes of a run's episodes: counts, examples, and differences between two runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ...envs.errors import InputError
from ...envs.safe_io import atomic_write, is_finite, read_object
from ..store.reader import StoredRun
from .rules import rule_set

FILE = "features.json"
"""Features of episodes that were recorded without them, found by replaying; in the run's folder."""
UNKNOWN = "unknown"
"""Stands for the class of a failure without features."""


def failure_classes(run: StoredRun) -> dict[str, str]:
    """Key -> class for every failed episode, in the order of the records; UNKNOWN where it has no features."""
    later = replayed_features(run)
    rules, found = rule_set(), {}
    for record in run.records:
        if record.success is False:
            features = record.features or later.get(record.key, {})
            found[record.key] = rules.classify(features) if features else UNKNOWN
    return found


def replayed_features(run: StoredRun) -> dict[str, dict[str, float]]:
    """Features by key from the run's `features.json`, of records whose trajectory is still the one replayed.

    Raises InputError for a file that is not as `write_features` makes it.
    """
    path = run.folder / FILE
    if not path.is_file():
        return {}
    try:
        values = read_object(path)
        hashes = {record.key: record.trajectory_sha256 for record in run.records}
        return {
            key: {name: _number(name, value) for name, value in entry["features"].items()}
            for key, entry in values.items()
            if hashes.get(key) == entry["trajectory_sha256"]
        }
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise InputError(f"{path} is damaged: {error}. Delete it and type: nora-bench failures {run.folder} --replay") from None


def _number(name: str, value: Any) -> float:
    if not is_finite(value):
        raise ValueError(f"the feature {name} is {str(value)[:40]!r}, not a finite number")
    return float(value)


def write_features(run: StoredRun, found: Mapping[str, Mapping[str, float]]) -> None:
    """Add the features of replayed episodes, by key, to the run's `features.json`."""
    hashes = {record.key: record.trajectory_sha256 for record in run.records}
    known = {**replayed_features(run), **found}
    merged = {key: {"trajectory_sha256": hashes[key], "features": dict(features)} for key, features in known.items()}
    with atomic_write(run.folder / FILE) as scratch:
        scratch.write_text(json.dumps(merged), encoding="utf-8")


def summary(run: StoredRun) -> dict[str, Any]:
    """JSON-able: `version` of the rules, `classes` (class -> episodes), `tasks` (with their classes), `examples` (by class)."""
    found = failure_classes(run)
    by_task: dict[tuple[str, int, str], Counter[str]] = {}
    examples: dict[str, str] = {}
    for record in run.records:
        if record.key in found:
            name = found[record.key]
            by_task.setdefault((record.suite, record.task_id, record.task), Counter())[name] += 1
            examples.setdefault(name, record.key)
    return {
        "version": rule_set().version,
        "classes": counted(found.values()),
        "tasks": [
            {"suite": suite, "task_id": task_id, "task": task, "classes": counted(own.elements())}
            for (suite, task_id, task), own in sorted(by_task.items())
        ],
        "examples": examples,
    }


def counted(names: Iterable[str]) -> dict[str, int]:
    """Class -> episodes, in the order of the rules' file, UNKNOWN last; classes without episodes omitted."""
    counts = Counter(names)
    return {name: counts[name] for name in (*rule_set().classes, UNKNOWN) if counts[name]}


def class_changes(a: StoredRun, b: StoredRun, perturbation: str = "") -> dict[str, Any]:
    """Failure classes of episodes (of the same scene and seed) that ended differently in two runs, under one perturbation.

    JSON-able: `fixed` (A failed so, B succeeded), `new` (B fails so, A succeeded), `changed` (both failed, otherwise).
    """
    classes = failure_classes(a), failure_classes(b)
    mine, other = (
        {(record.scene, record.seed): record for record in run.records if record.perturbation == perturbation} for run in (a, b)
    )
    pairs = [(mine[place], other[place]) for place in mine if place in other]
    fixed = [classes[0][one.key] for one, two in pairs if one.success is False and two.success]
    new = [classes[1][two.key] for one, two in pairs if two.success is False and one.success]
    both = [(classes[0][one.key], classes[1][two.key]) for one, two in pairs if one.success is False and two.success is False]
    moved = Counter((before, after) for before, after in both if before != after)
    changed = [{"a": before, "b": after, "episodes": count} for (before, after), count in moved.most_common()]
    return {"version": rule_set().version, "fixed": counted(fixed), "new": counted(new), "changed": changed}
