"""Merging of one policy's runs from several machines into one run.

Conditions of a common rate must be equal; others (versions, drivers, hardware) may differ and stay with their sessions. Merging
runs no episode and imports no code of the runs.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from msgspec import UNSET

from ..envs.errors import InputError, StoreError
from ..results.conditions import BY_SUITE, conditions, differences
from ..results.store import sessions
from ..results.store.integrity import read_actions
from ..results.store.reader import StoredRun, outcome_fields, same_states
from ..results.store.records import EpisodeRecord
from ..results.store.run_metadata import ConfigFields, RunMetadata, SourceFields
from ..results.store.writer import Store
from . import run_sessions
from .config import join_state, parse, split_state

SAME = ("backend", "renderer", "initial_states")
"""Conditions that must be equal in one run although they allow a comparison."""
TAKEN = ("status", "created", "finished", "counts", "until", "latency", "merged")
"""Fields of each source's run.json that the merged one copies."""


@dataclass(frozen=True, slots=True)
class MergedRecord:
    """One line of the merged run."""

    run: StoredRun
    """Source run, which has its actions."""
    record: EpisodeRecord
    again: bool = False
    """Whether another line has the same episode."""


@dataclass(slots=True)
class MergeResult:
    """Result of a merge."""

    run: str
    episodes: int = 0
    identical: int = 0
    """Records omitted because another run has the same episode with the same outcome and states."""
    contradictory: list[str] = field(default_factory=list)
    """Episodes with different outcomes; all of their records are kept, and the episode counts as an error."""
    other_states: list[str] = field(default_factory=list)
    """Episodes with equal outcomes and different trajectories; all of their records are kept."""
    without_actions: list[str] = field(default_factory=list)
    """Episodes whose action file could not be copied; they cannot be replayed from the merged run."""
    differences: dict[str, list[Any]] = field(default_factory=dict)
    """Differences between the sessions of the runs."""

    @property
    def clean(self) -> bool:
        """Whether the merged run has no contradictions and all actions."""
        return not self.contradictory and not self.without_actions


def merge(runs: Sequence[StoredRun], out: Path) -> MergeResult:
    """Merge the runs into a new folder. Raises InputError for different policies or protocols, StoreError, DiskError."""
    require_alike(runs)
    named = dict(zip(_names(runs), runs, strict=True))
    found = MergeResult(str(out))
    lines = list(combine(named, found))
    metadata = _metadata(named, out, found)
    with Store.create(out, metadata.update(status="running")) as store:
        for line in lines:
            _keep(store, line, found)
        records = store.records()
        found.episodes = len(records)
        errors = sum(record.success is None for record in records)
        store.update_metadata(
            status=metadata.status,
            counts={**(metadata.counts or {}), "done": len(records), "errors": errors},
            unfinished=_unfinished(runs, store),
        )
    return found


def require_alike(runs: Sequence[StoredRun]) -> None:
    """Raises InputError naming the first forbidden difference between runs, with both values."""
    if len(runs) < 2:
        raise InputError("merge takes at least two runs: `nora-bench merge runs/A runs/B --out runs/C`")
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise InputError("a run cannot be merged with itself. Name each folder once")
    first, *others = runs
    for other in others:
        for one in differences(conditions(first), conditions(other)):
            if one.refused or one.name in SAME or one.name.startswith("policy "):
                raise InputError(f"{first.folder} (A) and {other.folder} (B) cannot be merged: {one.text}")
        if conditions(first).policy != conditions(other).policy:
            raise InputError(f"{first.folder} and {other.folder} cannot be merged: they are of different policies")


def _names(runs: Sequence[StoredRun]) -> list[str]:
    """A name per run: its folder's; for duplicates with the parent folder, or else with a number."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.folder.resolve().parent.name}/{run.name}" for run in runs]
    seen: Counter[str] = Counter()
    for at, name in enumerate(names):
        seen[name] += 1
        names[at] = name if seen[name] == 1 else f"{name}-{seen[name]}"
    return names


def combine(named: Mapping[str, StoredRun], found: MergeResult) -> Iterator[MergedRecord]:
    """The lines of the merged run. Identical records are kept once, from the run with more losses and attempts."""
    by_key: dict[str, list[MergedRecord]] = {}
    for name, run in named.items():
        for record in _records(run):
            record = replace(record, origin=record.origin or name)
            by_key.setdefault(record.key, []).append(MergedRecord(run, _with_losses_elsewhere(record, run, named.values())))
    for key, lines in by_key.items():
        kept: list[MergedRecord] = []
        for line in sorted(lines, key=lambda line: (-line.record.policy_losses, -line.record.attempts)):
            if any(_alike(line.record, other.record) for other in kept):
                found.identical += 1
            else:
                kept.append(line)
        if any(outcome_fields(line.record) != outcome_fields(kept[0].record) for line in kept):
            found.contradictory.append(key)
        elif len(kept) > 1:
            found.other_states.append(key)
        yield from (replace(line, again=at > 0) for at, line in enumerate(kept))


def _records(run: StoredRun) -> Iterator[EpisodeRecord]:
    """All records of a run, with contradictory ones in place of their error record."""
    contradicting = dict(run.conflicts)
    for record in run.records:
        yield from contradicting.get(record.key, (record,))


def _with_losses_elsewhere(record: EpisodeRecord, own: StoredRun, runs: Iterable[StoredRun]) -> EpisodeRecord:
    """The record, with attempts added that ended in other runs without a record."""
    counts = [(run.metadata.unfinished or {}).get(record.key) for run in runs if run is not own]
    attempts = sum(one["attempts"] for one in counts if one)
    losses = sum(one["policy_losses"] for one in counts if one)
    return replace(record, attempts=record.attempts + attempts, policy_losses=record.policy_losses + losses)


def _alike(one: EpisodeRecord, other: EpisodeRecord) -> bool:
    return outcome_fields(one) == outcome_fields(other) and same_states(one, other)


def _keep(store: Store, line: MergedRecord, found: MergeResult) -> None:
    """Write one line, and its actions under a unique name."""
    record = line.record
    if record.actions:
        try:
            actions = read_actions(line.run, record)
        except StoreError:
            found.without_actions.append(record.key)
            record = replace(record, actions=None)
        else:
            name = f"{record.key}@{record.origin}" if line.again else record.key
            record = replace(record, actions=store.write_actions(name, actions))
    (store.append_again if line.again else store.append)(record)


# run.json


def _metadata(named: Mapping[str, StoredRun], out: Path, found: MergeResult) -> RunMetadata:
    runs = [run.metadata for run in named.values()]
    sources = [_source(name, run) for name, run in named.items()]
    every: list[Any] = [{"run": source["name"], **session} for source in sources for session in source["sessions"]]
    found.differences = sessions.differences(every)
    first = runs[0]
    statuses = {run.status for run in runs}
    return RunMetadata(
        name=out.name,
        status="finished" if statuses == {"finished"} else "failed" if "failed" in statuses else "interrupted",
        created=min((run.created for run in runs if run.created), default=None),
        finished=max((run.finished for run in runs if run.finished), default=None),
        command=shlex.join(sys.argv),
        config=cast(ConfigFields, {**_config(list(named.values())), "out": str(out)}),
        suites=_union(run.suites or () for run in runs),
        backend=first.backend,
        protocol=first.protocol,
        assets=first.assets,
        policy=_policy(runs),
        versions=_joined([run.versions or {} for run in runs]),
        gl=_joined([run.gl or {} for run in runs]),
        commit=_common([run.commit for run in runs]),
        hardware=_common([run.hardware for run in runs]),
        platform=_common([run.platform for run in runs]),
        counts={**_counts(runs, found), **_perturbed(named.values())},
        utilisation=_utilisation(runs),
        resumed=[],
        sessions=every,
        merged=cast(list[SourceFields], sources),
    )


def _policy(runs: Sequence[RunMetadata]) -> Any:
    """The policy of the runs, with the settings by suite of all of them."""
    found = [run.policy or {} for run in runs]
    prints = [policy.get("fingerprint") or {} for policy in found]
    joined = {
        name: {suite: value for one in prints for suite, value in one[name].items()}
        for name in BY_SUITE
        if all(isinstance(one.get(name), Mapping) for one in prints)
    }
    return {**found[0], "fingerprint": {**prints[0], **joined}} if joined else runs[0].policy


def _source(name: str, run: StoredRun) -> dict[str, Any]:
    metadata = run.metadata
    sessions = run_sessions.of(metadata)
    return {"name": name, "folder": str(run.folder), **metadata.select(TAKEN), "sessions": sessions, "notes": list(run.notes)}


def _config(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """The first run's options, with the suites, tasks, initial states and seeds of all."""
    configs = [_options(run) for run in runs]
    found = {**configs[0], "until": None}
    found["suite"] = _union(config.get("suite") or () for config in configs)
    found["perturb"] = _union(config.get("perturb") or () for config in configs)
    found["control"] = None  # the controls that the runs lacked may be in the merged run
    found["seeds"] = sorted(set(_union(config.get("seeds") or () for config in configs)))
    found["tasks"] = _union(config["tasks"] for config in configs) if all(config.get("tasks") for config in configs) else []
    if not _equal((config.get("init_states"), config.get("episodes")) for config in configs):
        chosen = all(config.get("init_states") or config.get("episodes") for config in configs)
        named = {state for config in configs for state in config.get("init_states") or ()}
        recorded = {join_state(record.init_set, record.init_state) for run in runs for record in run.records}
        found["init_states"], found["episodes"] = sorted(named | recorded, key=split_state) if chosen else [], None
    return found


def _options(run: StoredRun) -> dict[str, Any]:
    """Validated `config` of a run; empty for trials on a robot. Raises InputError."""
    config: Mapping[str, Any] = run.metadata.config or {}
    return parse(config).to_json() if config.get("suite") else {}


def _counts(runs: Sequence[RunMetadata], found: MergeResult) -> dict[str, int]:
    """Planned episodes of the runs, common ones counted once."""
    counts = [run.counts or {} for run in runs]
    planned = sum(one.get("planned", 0) for one in counts)
    several = found.identical + len(found.contradictory) + len(found.other_states)
    return {"planned": max(0, planned - several), "repeated": sum(one.get("repeated", 0) for one in counts)}


def _perturbed(runs: Iterable[StoredRun]) -> dict[str, int]:
    """`perturbed` of `counts`: planned ones of the runs, common ones counted once; empty without any."""
    runs = list(runs)
    planned = sum((run.metadata.counts or {}).get("perturbed", 0) for run in runs)
    keys = [record.key for run in runs for record in run.records if record.perturbation]
    return {"perturbed": planned - (len(keys) - len(set(keys)))} if planned else {}


def _unfinished(runs: Iterable[StoredRun], store: Store) -> dict[str, dict[str, int]]:
    """Starts of episodes without a record in the merged run, summed over the runs."""
    recorded, starts = store.keys(), {}
    for run in runs:
        for key, counts in (run.metadata.unfinished or {}).items():
            if key not in recorded:
                starts[key] = {name: starts.get(key, {}).get(name, 0) + count for name, count in counts.items()}
    return starts


def _utilisation(runs: Iterable[RunMetadata]) -> Any:
    """Seconds and workers, summed over the runs."""
    used = [run.utilisation or {} for run in runs]
    return {name: sum(one.get(name, 0) for one in used) for name in ("wall_s", "policy_s", "workers_s", "workers")}


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Values of all parts by name; different values joined."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        values = list(dict.fromkeys(str(part[name]) for part in parts if part.get(name) is not None))
        found[name] = " / ".join(values)
    return found


def _union(lists: Iterable[Iterable[Any]]) -> list[Any]:
    return list(dict.fromkeys(one for many in lists for one in many))


def _common(values: Sequence[Any]) -> Any:
    """The value that all runs share; None where they differ or none has it."""
    return values[0] if values[0] is not UNSET and _equal(values) else None


def _equal(values: Iterable[Any]) -> bool:
    first, *others = values
    return all(other == first for other in others)
