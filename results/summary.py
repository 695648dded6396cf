"""What happened in a run, in numbers: per suite and task, how episodes ended, where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from .outcomes import groups
from .reading import Run
from .records import EpisodeRecord
from .stats import Stratum, stratified

PROVENANCE = ("command", "versions", "commit", "hardware", "platform")
"""Parts of run.json that say where its numbers come from."""
PHASES = ("reset", "step", "render", "policy")
"""Parts of an episode's seconds, in the order in which they are printed."""


def summarise(run: Run) -> dict[str, Any]:
    """JSON-able: `counts`, `suites` (rates with 95 % intervals, tasks), `errors`, `seconds`, `chunk_status`, provenance."""
    facts = ("status", "created", "finished", "policy", "protocol", "assets", "config", "utilisation")
    return {
        "name": run.name,
        "folder": str(run.folder),
        **{name: run.run[name] for name in facts if name in run.run},
        "counts": counts(run),
        "suites": suites(run),
        "terminations": dict(Counter(record.termination for record in run.records)),
        "errors": errors(run.records),
        "seconds": seconds(run.records),
        "chunk_status": chunk_status(run.records),
        "warnings": dict(Counter(warning for record in run.records for warning in record.warnings)),
        "notes": list(run.notes),
        "provenance": {name: run.run[name] for name in PROVENANCE if name in run.run},
    }


def counts(run: Run) -> dict[str, int]:
    """Episodes planned (0 where run.json does not say), finished, scored, succeeded, errored, restarted."""
    scored = [record for record in run.records if record.success is not None]
    return {
        "planned": int((run.run.get("counts") or {}).get("planned", 0)),
        "finished": len(run.records),
        "scored": len(scored),
        "successes": sum(bool(record.success) for record in scored),
        "errors": len(run.records) - len(scored),
        "restarted": sum(record.attempts > 1 for record in run.records),
    }


def suites(run: Run) -> list[dict[str, Any]]:
    """One entry per suite and set of conditions, with its tasks; rates as fractions."""
    found = []
    for group in groups(run):
        for suite, records in group.suites.items():
            tasks = _tasks(records)
            parts = Counter(task for task, _ in tasks)
            strata = [Stratum(1 / parts[task], _clusters(own)) for (task, _), own in tasks.items()]
            found.append(
                {
                    "suite": suite,
                    "pack": group.conditions.pack,
                    "backend": group.conditions.backend,
                    "renderers": sorted({record.renderer for record in records} - {""}),
                    **_rate(strata),
                    "errors": group.errors.get(suite, 0),
                    "repeats": group.repeats.get(suite, 0),
                    "tasks": [_task(own) for _, own in sorted(tasks.items())],
                }
            )
    return found


def _tasks(records: Iterable[EpisodeRecord]) -> dict[tuple[int, str], list[EpisodeRecord]]:
    found: dict[tuple[int, str], list[EpisodeRecord]] = {}
    for record in records:
        found.setdefault((record.task_id, record.part), []).append(record)
    return found


def _clusters(records: Iterable[EpisodeRecord]) -> list[tuple[int, int]]:
    found: dict[int, list[int]] = {}
    for record in records:
        cell = found.setdefault(record.init_state, [0, 0])
        cell[0] += bool(record.success)
        cell[1] += 1
    return [(k, n) for k, n in found.values()]


def _task(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    first = records[0]
    return {
        "task_id": first.task_id,
        "task": first.task,
        "variant": first.part,
        "looks": _looks(records),
        **_rate([Stratum(1.0, _clusters(records))]),
        "steps": fmean(record.steps for record in records),
        "seconds": fmean(record.seconds.get("total", 0.0) for record in records),
    }


def _looks(records: Iterable[EpisodeRecord]) -> dict[str, tuple[int, int]]:
    """Look -> successes, episodes; empty where there is only one way to look."""
    found = {record.look: (0, 0) for record in records}
    for record in records if any(found) else ():
        k, n = found[record.look]
        found[record.look] = (k + bool(record.success), n + 1)
    return found if any(found) else {}


def _rate(strata: Sequence[Stratum]) -> dict[str, Any]:
    found = stratified(strata)
    return {name: getattr(found, name) for name in ("mean", "low", "high", "k", "n")} if found else {}


def errors(records: Iterable[EpisodeRecord]) -> list[dict[str, Any]]:
    """Errors by their text, most frequent first, with the keys of their episodes."""
    found: dict[str, list[str]] = {}
    for record in records:
        if record.termination == "error":
            found.setdefault(record.error or "unknown", []).append(record.key)
    by_count = sorted(found.items(), key=lambda entry: -len(entry[1]))
    return [{"error": text, "count": len(keys), "keys": keys} for text, keys in by_count]


def seconds(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """Wall seconds summed over all episodes: the phases, and `total`."""
    return {phase: sum(record.seconds.get(phase, 0.0) for record in records) for phase in (*PHASES, "total")}


def chunk_status(records: Iterable[EpisodeRecord]) -> dict[str, int]:
    """Decisions by the status of the policy's answer."""
    found: Counter[str] = Counter()
    for record in records:
        found.update(record.chunk_status)
    return dict(found)


def find(run: Run, key: str) -> EpisodeRecord:
    """The episode of that key. Raises KeyError naming the nearest ones."""
    from ..envs.registry import nearest

    by_key: Mapping[str, EpisodeRecord] = {record.key: record for record in run.records}
    if key in by_key:
        return by_key[key]
    raise KeyError(f"run {run.name} has no episode {key!r}{nearest(key, by_key)}")


def outcome(record: EpisodeRecord) -> str:
    """`success`, `failure` or `error`."""
    return "error" if record.success is None else "success" if record.success else "failure"


def remarks(record: EpisodeRecord) -> Iterator[str]:
    """How an episode ended, beyond success and failure."""
    if record.error:
        yield record.error
    elif not record.success:
        yield "reached the goal, but not by the protocol's rule" if record.success_any else "used up its steps"
    bad = {status: count for status, count in record.chunk_status.items() if status != "ok"}
    if bad:
        yield "bad action chunks: " + ", ".join(f"{status} {count}" for status, count in bad.items())
    if record.attempts > 1:
        yield f"started {record.attempts} times"
    yield from record.warnings
