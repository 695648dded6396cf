"""A campaign: so many faults from one seed, each judged; their report as a table."""

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
from .bench import LIBERO, REMOTE, TOY, Bench, Env, quiet
from .judge import Broken, judge
from .kinds import KINDS, Case, pairs

LISTS = (kinds_workers, kinds_writes, kinds_lines, kinds_policy, kinds_remote, kinds_around)
"""Each has put its faults into `KINDS`."""
WORLDS = {world.name: world for world in (TOY, REMOTE, LIBERO)}


BROKEN = "BROKEN"
"""The outcome that there must not be."""


@dataclass(frozen=True)
class Verdict:
    """What came of one fault."""

    case: Case
    outcome: str
    broken: str
    """Which promise, and how; empty where all held."""
    seconds: float


def draw(count: int, seed: int, world: Env = TOY, only: str = "") -> list[Case]:
    """So many faults: every pair of fault and phase as often as any other, by their shares, in an order that the seed draws.

    `only`: those whose name holds this text.
    """
    there = [pair for pair in pairs(world) if only in pair[0].name]
    order = np.random.default_rng([seed, len(there)]).permutation(len(there))
    return [
        Case(there[order[n % len(there)]][0].name, there[order[n % len(there)]][1], seed + n, world.name) for n in range(count)
    ]


def draw_each(seed: int) -> list[Case]:
    """Every fault once, in one of its phases."""
    rng = np.random.default_rng(seed)
    possible = [one for one in KINDS.values() if one.possible()]
    return [Case(one.name, str(rng.choice(one.phases)), seed, one.worlds[0].name) for one in possible]


class Campaign:
    """Plays faults in a scratch folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._quiet: dict[str, Mapping[str, EpisodeRecord]] = {}
        sessions.warm()

    def play(self, case: Case) -> Verdict:
        """One fault and its judgement; the folder stays where a promise was broken."""
        world, rng = WORLDS[case.world], case.rng()
        if case.world not in self._quiet:
            self._quiet[case.world] = quiet(self._folder, world)
        folder = self._folder / f"{case.number}-{case.world}"
        shutil.rmtree(folder, ignore_errors=True)
        bench = Bench(folder, world, workers=1 + int(rng.integers(2)), quiet=self._quiet[case.world])
        started = time.perf_counter()
        try:
            with bench.cleanup:
                outcome, broken = judge(bench, KINDS[case.kind].do(bench, rng, case.phase)), ""
        except Broken as error:
            return Verdict(case, BROKEN, str(error), time.perf_counter() - started)
        except Exception:  # a fault of the harness, which is one, too
            return Verdict(case, BROKEN, traceback.format_exc(), time.perf_counter() - started)
        shutil.rmtree(folder)
        return Verdict(case, outcome, broken, time.perf_counter() - started)


def play(cases: Sequence[Case], folder: Path, jobs: int) -> Iterator[Verdict]:
    """What came of each, in the order in which they end."""
    if jobs == 1:
        yield from map(Campaign(folder).play, cases)
        return
    with multiprocessing.get_context("fork").Pool(jobs, _begin, [folder]) as pool:
        yield from pool.imap_unordered(_play, cases)


def _begin(folder: Path) -> None:
    global _ours
    _ours = Campaign(folder / str(os.getpid()))


def _play(case: Case) -> Verdict:
    return _ours.play(case)


_ours: Campaign


def report(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """A markdown table: a line for each fault, with how often it struck in each phase."""
    groups: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict.case.kind, verdict.case.world].append(verdict)
    yield "| fault | world | phases, and faults in each | held | how it went |"
    yield "| --- | --- | --- | --- | --- |"
    for (name, world), some in sorted(groups.items(), key=lambda item: [*KINDS].index(item[0][0])):
        struck = Counter(one.case.phase for one in some)
        phases = ", ".join(f"{phase} {struck[phase]}" for phase in KINDS[name].phases if phase in struck)
        held = sum(one.outcome != BROKEN for one in some)
        went = ", ".join(sorted({one.outcome for one in some}))
        yield f"| {name} | {world} | {phases} | {held} of {len(some)} | {went} |"
