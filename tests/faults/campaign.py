"""A campaign: a number of faults sampled from one seed, each judged; a report as a table."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nora_bench.results.store.records import EpisodeRecord

from . import kinds_around, kinds_lines, kinds_policy, kinds_remote, kinds_workers, kinds_writes, sessions
from .bench import LIBERO, REMOTE, TOY, Bench, Scenario, quiet
from .judge import Broken, judge
from .kinds import KINDS, Case, pairs

LISTS = (kinds_workers, kinds_writes, kinds_lines, kinds_policy, kinds_remote, kinds_around)
"""Importing these registers their faults in `KINDS`."""
SCENARIOS = {scenario.name: scenario for scenario in (TOY, REMOTE, LIBERO)}


BROKEN = "BROKEN"
"""Outcome of a fault that violated a promise."""


@dataclass(frozen=True)
class Verdict:
    """Result of one fault."""

    case: Case
    outcome: str
    broken: str
    """The violated promise; empty where all held."""
    seconds: float


def sample(count: int, seed: int, scenario: Scenario = TOY, only: str = "") -> list[Case]:
    """Sample `count` faults: every pair of fault and phase equally often, weighted by share, in a seeded order.

    `only`: faults whose name contains this text.
    """
    available = [pair for pair in pairs(scenario) if only in pair[0].name]
    order = np.random.default_rng([seed, len(available)]).permutation(len(available))
    chosen = [available[order[n % len(available)]] for n in range(count)]
    return [Case(kind.name, phase, seed + n, scenario.name) for n, (kind, phase) in enumerate(chosen)]


def sample_each(seed: int) -> list[Case]:
    """Every fault once, in one of its phases."""
    rng = np.random.default_rng(seed)
    possible = [one for one in KINDS.values() if one.possible()]
    return [Case(one.name, str(rng.choice(one.phases)), seed, one.scenarios[0].name) for one in possible]


class Campaign:
    """Injects faults in a scratch folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._quiet: dict[str, Mapping[str, EpisodeRecord]] = {}
        sessions.warm()

    def run(self, case: Case) -> Verdict:
        """Inject one fault and judge it; the folder is kept where a promise was violated."""
        scenario, rng = SCENARIOS[case.scenario], case.rng()
        if case.scenario not in self._quiet:
            self._quiet[case.scenario] = quiet(self._folder, scenario)
        folder = self._folder / f"{case.number}-{case.scenario}"
        shutil.rmtree(folder, ignore_errors=True)
        bench = Bench(folder, scenario, workers=1 + int(rng.integers(2)), quiet=self._quiet[case.scenario])
        started = time.perf_counter()
        try:
            with bench.cleanup:
                outcome, broken = judge(bench, KINDS[case.kind].do(bench, rng, case.phase)), ""
        except Broken as error:
            return Verdict(case, BROKEN, str(error), time.perf_counter() - started)
        except Exception:  # an internal error counts as a violation
            return Verdict(case, BROKEN, traceback.format_exc(), time.perf_counter() - started)
        shutil.rmtree(folder)
        return Verdict(case, outcome, broken, time.perf_counter() - started)


def run(cases: Sequence[Case], folder: Path, jobs: int) -> Iterator[Verdict]:
    """Results, in the order in which they finish."""
    if jobs == 1:
        yield from map(Campaign(folder).run, cases)
        return
    with multiprocessing.get_context("fork").Pool(jobs, _begin, [folder]) as pool:
        yield from pool.imap_unordered(_run, cases)


def _begin(folder: Path) -> None:
    global _campaign
    _campaign = Campaign(folder / str(os.getpid()))


def _run(case: Case) -> Verdict:
    return _campaign.run(case)


_campaign: Campaign


def report(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """A markdown table: a line for each fault, with its count per phase."""
    groups: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict.case.kind, verdict.case.scenario].append(verdict)
    yield "| fault | scenario | phases, and faults in each | held | how it went |"
    yield "| --- | --- | --- | --- | --- |"
    for (name, scenario), group in sorted(groups.items(), key=lambda item: [*KINDS].index(item[0][0])):
        struck = Counter(one.case.phase for one in group)
        phases = ", ".join(f"{phase} {struck[phase]}" for phase in KINDS[name].phases if phase in struck)
        held = sum(one.outcome != BROKEN for one in group)
        went = ", ".join(sorted({one.outcome for one in group}))
        yield f"| {name} | {scenario} | {phases} | {held} of {len(group)} | {went} |"
