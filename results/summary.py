"""Summary of a run: rates per suite and task, terminations, errors, times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from .action_checks import action_warnings
from .failures.classify import summary as failure_summary
from .grouping import Group, groups, task_weights
from .layouts import Column
from .rates import rate_of
from .store.lost_attempts import LostAttempt
from .store.reader import StoredRun
from .store.records import CAUSES, EpisodeRecord

PROVENANCE = ("command", "versions", "commit", "hardware", "platform")
"""Fields of run.json on the provenance of its numbers."""
PHASES = ("reset", "step", "render", "policy")
"""Phases of an episode's seconds, in printed order."""


def summarise(run: StoredRun) -> dict[str, Any]:
    """JSON-able: `counts`, `suites` (rates with 95 % intervals, tasks), `failures` (classes), `errors`, `lost_attempts`,
    `seconds`, `chunk_status`, `action_warnings`, provenance."""
    facts = ("status", "created", "finished", "policy", "protocol", "assets", "config", "utilisation", "merged")
    return {
        "name": run.name,
        "folder": str(run.folder),
        **run.metadata.select(facts),
        "counts": counts(run),
        "suites": suites(run),
        "terminations": dict(Counter(record.termination for record in run.records)),
        "failures": failure_summary(run),
        "errors": errors(run.records),
        "lost_attempts": lost_attempts(run.lost_attempts),
        "seconds": seconds(run.records),
        "chunk_status": chunk_status(run.records),
        "action_warnings": list(action_warnings(run, run.records)),
        "warnings": dict(Counter(warning for record in run.records for warning in record.warnings)),
        "notes": list(run.notes),
        "provenance": run.metadata.select(PROVENANCE),
        "sessions": list(run.metadata.sessions or ()),
    }


def counts(run: StoredRun) -> dict[str, int]:
    """Episodes planned (0 if unknown), finished, scored, succeeded, errors (by recorded cause), different conditions, episodes
    started more than once, episodes lost by the policy, and losses in total."""
    scored = [record for record in run.records if record.success is not None]
    return {
        "planned": int((run.metadata.counts or {}).get("planned", 0)),
        "finished": len(run.records),
        "scored": len(scored),
        "successes": sum(bool(record.success) for record in scored),
        "errors": len(run.records) - len(scored),
        "policy_errors": sum(record.cause == "policy" for record in run.records),
        "machine_errors": sum(record.cause == "machine" for record in run.records),
        "conditions": len({record.conditions for record in run.records} - {""}),
        "restarted": sum(record.attempts > 1 for record in run.records),
        "lost_by_policy": sum(record.policy_losses > 0 for record in run.records),
        "policy_losses": sum(record.policy_losses for record in run.records),
    }


def caveats(counts: Mapping[str, int]) -> Iterator[str]:
    """Caveats that readers of a rate must know, one line each, from the result of `counts`."""
    if errors := counts["errors"]:
        causes = {f"due to the {name}": counts[f"{cause}_errors"] for cause, name in CAUSES.items()}
        causes["of unknown cause"] = errors - sum(causes.values())
        yield f"{errors} ended in an error: {', '.join(f'{count} {cause}' for cause, count in causes.items() if count)}"
    if counts["conditions"] > 1:
        yield f"{counts['finished']} ran under {counts['conditions']} different conditions, see the sessions"
    if counts["restarted"]:
        yield f"{counts['restarted']} were started more than once"
    if counts["lost_by_policy"]:
        yield f"{counts['lost_by_policy']} were lost by the policy before they ended ({counts['policy_losses']} times in all)"


def suites(run: StoredRun) -> list[dict[str, Any]]:
    """One entry per suite and set of conditions, with its tasks; rates as fractions."""
    return [entry for group in groups(run) for entry in group_suites(group)]


def group_suites(group: Group) -> list[dict[str, Any]]:
    """One entry per suite of a group, with its tasks; rates as fractions.

    With errors, `mean` counts them as failures, `upper` as successes, and `low` to `high` covers both.
    """
    found = []
    for suite, records in group.suites.items():
        tasks = _tasks(records)
        weights = task_weights(dict.fromkeys((record.task, record.part) for record in records), Column(suite, suite=suite))
        found.append(
            {
                "suite": suite,
                "pack": group.key.pack,
                "backend": group.key.backend,
                "initial_states": group.key.init_set or "published",
                "perturbation": group.key.perturbation,
                "renderers": sorted({record.renderer for record in records} - {""}),
                **_rate(records, weights),
                "errors": sum(group.errors([suite]).values()),
                "causes": group.errors([suite]),
                "repeats": group.repeats.get(suite, 0),
                "latency": latency_means(records),
                "tasks": [_task(own) for _, own in sorted(tasks.items())],
            }
        )
    return found


def latency_means(records: Iterable[EpisodeRecord]) -> dict[str, float]:
    """Means of `EpisodeRecord.latency` over episodes with delayed answers; empty without any."""
    found = [record.latency for record in records if record.latency]
    return {name: fmean(one[name] for one in found) for name in (found[0] if found else ())}


def latency_text(means: Mapping[str, float]) -> str:
    """`answers 2.0 control steps late, 12% stale actions, 5% held, 3.10 decisions per second`, of `latency_means`."""
    return (
        f"answers {means['delay_steps']:.1f} control steps late, {means['stale']:.0%} stale actions, {means['held']:.0%} held, "
        f"{means['decisions_per_s']:.2f} decisions per second"
    )


def _tasks(records: Iterable[EpisodeRecord]) -> dict[tuple[int, str], list[EpisodeRecord]]:
    found: dict[tuple[int, str], list[EpisodeRecord]] = {}
    for record in records:
        found.setdefault((record.task_id, record.part), []).append(record)
    return found


def _task(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    first = records[0]
    return {
        "task_id": first.task_id,
        "task": first.task,
        "variant": first.part,
        "looks": _appearances(records),
        **_rate(records, {(first.task, first.part): 1.0}),
        "steps": fmean(record.steps for record in records),
        "seconds": fmean(record.seconds.get("total", 0.0) for record in records),
    }


def _rate(records: Sequence[EpisodeRecord], weights: Mapping[tuple[str, str], float]) -> dict[str, Any]:
    found = rate_of(records, weights)
    if found is None:
        return {}
    low, high = found.bounds
    counted = {"k": found.low.k, "n": found.low.n, "states": found.low.clusters, "effective": found.low.effective}
    return {"mean": found.low.mean, "upper": found.high.mean, "low": low, "high": high, **counted, "uncertain": found.uncertain}


def _appearances(records: Iterable[EpisodeRecord]) -> dict[str, tuple[int, int]]:
    """Appearance variant -> successes, episodes; empty without variants."""
    found = {record.appearance: (0, 0) for record in records}
    for record in records if any(found) else ():
        k, n = found[record.appearance]
        found[record.appearance] = (k + bool(record.success), n + 1)
    return found if any(found) else {}


def errors(records: Iterable[EpisodeRecord]) -> list[dict[str, Any]]:
    """Errors by their text and cause, most frequent first, with the keys of their episodes."""
    found: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record.termination == "error":
            found.setdefault((record.error or "unknown", record.cause), []).append(record.key)
    by_count = sorted(found.items(), key=lambda entry: -len(entry[1]))
    return [{"error": text, "cause": cause, "count": len(keys), "keys": keys} for (text, cause), keys in by_count]


def lost_attempts(attempts: Iterable[LostAttempt]) -> list[dict[str, Any]]:
    """Lost attempts by their cause and by who lost them, most frequent first, with the keys of their episodes."""
    keys: dict[tuple[str, str], list[str]] = {}
    for attempt in attempts:
        keys.setdefault((attempt["cause"], attempt["by"]), []).append(attempt["key"])
    by_count = sorted(keys.items(), key=lambda entry: -len(entry[1]))
    return [{"cause": cause, "by": by, "count": len(own), "keys": own} for (cause, by), own in by_count]


def seconds(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """Wall seconds summed over all episodes: the phases, and `total`."""
    return {phase: sum(record.seconds.get(phase, 0.0) for record in records) for phase in (*PHASES, "total")}


def chunk_status(records: Iterable[EpisodeRecord]) -> dict[str, int]:
    """Decisions by status of the action chunk."""
    found: Counter[str] = Counter()
    for record in records:
        found.update(record.chunk_status)
    return dict(found)


def find_episode(run: StoredRun, key: str) -> EpisodeRecord:
    """The episode of that key. Raises UnknownName."""
    from ..envs.errors import UnknownName

    by_key: Mapping[str, EpisodeRecord] = {record.key: record for record in run.records}
    if key in by_key:
        return by_key[key]
    raise UnknownName("episode", key, by_key, f"see `nora-bench show {run.folder}`")


def outcome_name(record: EpisodeRecord) -> str:
    """`success`, `failure` or `error`."""
    return "error" if record.success is None else "success" if record.success else "failure"


def remarks(record: EpisodeRecord) -> Iterator[str]:
    """Remarks on how an episode ended, beyond success and failure."""
    if record.error:
        yield record.error
    elif not record.success:
        yield "reached the goal, but not by the protocol's rule" if record.success_any else "reached the step limit"
    bad = {status: count for status, count in record.chunk_status.items() if status != "ok"}
    if bad:
        yield "bad action chunks: " + ", ".join(f"{status} {count}" for status, count in bad.items())
    if record.attempts > 1:
        yield f"started {record.attempts} times"
    if record.policy_losses:
        yield f"lost by the policy {record.policy_losses} times"
    yield from record.warnings


def successes_by_appearance(tasks: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Appearance variant -> successes, episodes over the tasks of a suite's entry; empty for suites without variants."""
    found: dict[str, tuple[int, int]] = {}
    for task in tasks:
        for appearance, (successes, episodes) in task["looks"].items():
            k, n = found.get(appearance, (0, 0))
            found[appearance] = (k + successes, n + episodes)
    return found


def time_shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Phase -> its share of the total, for the result of `seconds`; empty where no time was recorded."""
    total = seconds["total"]
    return {phase: value / total for phase, value in seconds.items() if phase != "total"} if total else {}


def busy_shares(utilisation: Mapping[str, Any]) -> dict[str, float]:
    """Share of the wall time in which `policy` and, on average, `workers` were busy; empty where it was not recorded."""
    wall, workers = utilisation.get("wall_s", 0.0), utilisation.get("workers", 0)
    if not wall or not workers:
        return {}
    return {
        "policy": utilisation.get("policy_s", 0.0) / wall,
        "workers": utilisation.get("workers_s", 0.0) / wall / workers,
    }


@dataclass(frozen=True, slots=True)
class ActionScale:
    """Statistics that scaled the actions of one suite, from the policy's fingerprint."""

    suite: str
    statistics: str
    facts: tuple[str, ...]
    """File, numbers, option and digest that they come from."""


def action_scales(policy: Mapping[str, Any]) -> Iterator[ActionScale]:
    """The statistics that a policy, local or served, scaled its actions with; `policy` as in run.json."""
    fingerprint = policy.get("fingerprint") or {}
    served = ((fingerprint.get("server") or {}).get("declared") or {}).get("fingerprint")
    fingerprint = served if isinstance(served, dict) else fingerprint
    names, sources = fingerprint.get("statistics"), fingerprint.get("statistics_from")
    if not isinstance(names, dict):
        return
    for suite, name in names.items():
        source = sources.get(suite, {}) if isinstance(sources, dict) else {}
        facts = [str(source[fact]) for fact in ("source", "numbers") if source.get(fact)]
        facts += ["named by the user"] if source.get("by") == "option" else []
        facts += [f"sha256 {str(source['sha256'])[:12]}"] if source.get("sha256") else []
        yield ActionScale(suite, name, tuple(facts))
