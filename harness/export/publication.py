"""What exports for leaderboards share: the rates of a run, what keeps one from being the benchmark's result, and safe names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...results import layouts
from ...results.conditions import conditions
from ...results.coverage import part_label, shortfall
from ...results.grouping import Group, groups
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ...results.summary import group_suites
from ...results.tables.rows import BENCHMARK_PACK

RESERVED = re.compile(r"(data|con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)
"""Names that a data store or a file system reserves."""


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The result of one suite under one set of conditions."""

    suite: str
    values: Mapping[str, Any]
    """Entry of `results.summary.group_suites`: rates as fractions, errors as failures in `mean`."""
    records: tuple[EpisodeRecord, ...]
    shortfall: str
    """Why the rate is not the benchmark's result; empty where it is."""

    @property
    def note(self) -> str:
        """`95 % interval 91.0 to 96.2, 500 episodes, 2 errors counted as failures`, for people."""
        values = self.values
        errors = f", {values['errors']} errors counted as failures" if values["errors"] else ""
        interval = f"{100 * values['low']:.1f} to {100 * values['high']:.1f}"
        return f"95 % interval {interval}, {len(self.records)} episodes{errors}"


def suite_results(run: StoredRun) -> Iterator[SuiteResult]:
    """The results of a run, by conditions and suite; without perturbed episodes, which no leaderboard asks for."""
    for group in groups(run):
        if group.key.perturbation:
            continue
        for values in group_suites(group):
            records = tuple(group.suites[values["suite"]])
            yield SuiteResult(values["suite"], values, records, _shortfall(run, group, values["suite"]))


def _shortfall(run: StoredRun, group: Group, suite: str) -> str:
    columns = [column for column in layouts.fitting({suite}).columns if column.suite == suite]
    facts = conditions(run, group.records)
    pack = "" if group.key.pack == BENCHMARK_PACK else f"{group.key.pack or 'unknown'} assets"
    part = part_label([shortfall(group, column) for column in columns], facts)
    return ", ".join(filter(None, [pack, part]))


def portable_name(text: str) -> str:
    """The text as the name of a file on every system: letters, digits, `_`, `-`, `.`, `+`."""
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-. ")
    return f"run-{name}".rstrip("-") if not name or RESERVED.fullmatch(name) else name


def model_id(run: StoredRun, model: str) -> str:
    """`ORGANISATION/NAME` of the evaluated model: as given, or `local/` and the policy's name."""
    if model:
        return "/".join(portable_name(part) for part in model.split("/"))
    return f"local/{portable_name(policy_name(run))}"


def policy_name(run: StoredRun) -> str:
    """Name that the policy ran under."""
    recorded = run.records[0].policy if run.records else "unknown"
    return str((run.metadata.policy or {}).get("name") or recorded)


def version_of(run: StoredRun) -> str:
    """nora-bench's version in the run's first session."""
    return str((run.metadata.versions or {}).get("nora-bench") or "unknown")
