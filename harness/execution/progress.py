"""Progress of a run: a live table on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ...results.grouping import metric_outcome, uncertain
from ...results.statistics.intervals import Estimate, Stratum, stratified
from ...results.store.records import EpisodeRecord
from ..planning.provenance import duration

LIVE_S = 0.25
"""Seconds between two updates of the live table."""
LINE_S = 30.0
"""Seconds between two lines where there is no terminal."""


@dataclass(slots=True)
class SuiteCounts:
    """Progress of one suite. Counts per initial state, not per episode: its size does not grow with seeds and variants."""

    total: int
    done: int = 0
    scored: int = 0
    successes: int = 0
    uncertain: int = 0
    """Successes after an attempt that the policy had lost."""
    states: dict[tuple[int, str], dict[int, list[int]]] = field(default_factory=dict)
    """(task, part) -> initial state -> [successes, successes and open outcomes, episodes]."""
    _estimated: tuple[int, tuple[Estimate, Estimate] | None] = (0, None)
    """Episodes at the last estimate, and that estimate: an update without new episodes costs nothing."""

    def add(self, record: EpisodeRecord) -> None:
        """One more finished episode; perturbed ones are in no rate."""
        self.done += 1
        self.scored += record.success is not None
        if record.perturbation:
            return
        if record.success is not None:
            self.successes += record.success
            self.uncertain += uncertain(record)
        state = self.states.setdefault((record.task_id, record.part), {}).setdefault(record.init_state, [0, 0, 0])
        state[0] += bool(metric_outcome(record, "success", "failures"))
        state[1] += bool(metric_outcome(record, "success", "successes"))
        state[2] += 1

    def estimate(self) -> tuple[Estimate, Estimate] | None:
        """The suite's success rate so far, computed as in tables, for both readings of open outcomes (`results.rates`)."""
        if self._estimated[0] != self.done:
            low = self._read(0)
            high = self._read(1) if self.done > self.scored or self.uncertain else low
            self._estimated = self.done, (low, high) if low and high else None
        return self._estimated[1]

    def _read(self, reading: int) -> Estimate | None:
        parts = Counter(task for task, _ in self.states)
        return stratified(
            Stratum(1 / parts[task], [(state[reading], state[2]) for state in own.values()])
            for (task, _), own in self.states.items()
        )

    def rate(self) -> str:
        """Successes, episodes, and the rate with its 95 % interval; both ends where errors leave it open."""
        estimates = self.estimate()
        if estimates is None:
            return "no episode finished yet"
        low, high = estimates
        ends = list(dict.fromkeys(estimates))
        successes, share = (" to ".join(text) for text in ([str(end.k) for end in ends], [f"{end.mean:.1%}" for end in ends]))
        return f"{successes}/{low.n}  {share}  [{low.low:.1%}, {high.high:.1%}]"


@dataclass(slots=True)
class ProgressCounts:
    """Counts of a run so far, and its pace."""

    suites: dict[str, SuiteCounts]
    started: float = field(default_factory=time.monotonic)
    finished: int = 0
    """Episodes finished since the start of this process."""

    @classmethod
    def of(cls, totals: Mapping[str, int], before: Iterable[EpisodeRecord]) -> ProgressCounts:
        """Counts of a run in which these episodes have finished."""
        counts = cls({suite: SuiteCounts(total) for suite, total in totals.items()})
        for record in before:
            counts.suites[record.suite].add(record)
        return counts

    def add(self, record: EpisodeRecord) -> None:
        """One more finished episode."""
        self.suites[record.suite].add(record)
        self.finished += 1

    @property
    def done(self) -> int:
        """Finished episodes."""
        return sum(count.done for count in self.suites.values())

    @property
    def total(self) -> int:
        """Planned episodes."""
        return sum(count.total for count in self.suites.values())

    @property
    def errors(self) -> int:
        """Episodes that ended in an error."""
        return sum(count.done - count.scored for count in self.suites.values())

    def pace(self) -> str:
        """Episodes per minute and the time left."""
        minutes = (time.monotonic() - self.started) / 60
        if not self.finished or minutes <= 0:
            return "pace not known yet"
        per_minute = self.finished / minutes
        return f"{per_minute:.1f} episodes/min, {duration(60 * (self.total - self.done) / per_minute)} left"


class Progress:
    """Progress of a run. This one prints nothing; see `LiveProgress` and `LineProgress`."""

    def __init__(self, counts: ProgressCounts, console: Console) -> None:
        self.counts = counts
        self.console = console
        self._next = time.monotonic()

    def finished(self, record: EpisodeRecord) -> None:
        """An episode is in the store."""
        self.counts.add(record)

    def working(self, worker: int, activity: str) -> None:
        """Show a worker's activity; empty when it is idle."""

    def note(self, text: str) -> None:
        """Print a note to the user."""

    def tick(self) -> None:
        """Print an update when one is due; called often."""

    def close(self) -> None:
        """Print the last update."""

    def _is_due(self, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + every_s
        return True


class LineProgress(Progress):
    """A line every half minute, for logs and pipes."""

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        if self._is_due(LINE_S) and self.counts.finished:
            self._line()

    def close(self) -> None:
        self._line()

    def _line(self) -> None:
        counts = self.counts
        rates = ", ".join(f"{suite} {count.rate()}" for suite, count in counts.suites.items() if count.done)
        errors = f", {counts.errors} errors" if counts.errors else ""
        self.note(f"{counts.done}/{counts.total} episodes{errors}; {rates or 'none scored yet'}; {counts.pace()}")


class LiveProgress(Progress):
    """A table that is updated four times a second."""

    def __init__(self, counts: ProgressCounts, console: Console) -> None:
        super().__init__(counts, console)
        self._workers: dict[int, tuple[str, float]] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def working(self, worker: int, activity: str) -> None:
        self._workers[worker] = activity, time.monotonic()

    def note(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        if self._is_due(LIVE_S):
            self._live.update(self.content(), refresh=True)

    def close(self) -> None:
        self._live.update(self.content(), refresh=True)
        self._live.stop()
        self.console.print(self._table())

    def content(self) -> Group:
        """The table, the pace and the workers."""
        workers = [Text(f"  worker {number}: {self._activity(number)}", style="dim") for number in sorted(self._workers)]
        return Group(self._table(), Text(f"{self.counts.done}/{self.counts.total} episodes, {self.counts.pace()}"), *workers)

    def _activity(self, number: int) -> str:
        activity, since = self._workers[number]
        return f"{activity} for {duration(time.monotonic() - since)}" if activity else "idle"

    def _table(self) -> Table:
        table = Table("suite", "episodes", "success (95 % interval)", "errors")
        for suite, count in self.counts.suites.items():
            table.add_row(suite, f"{count.done}/{count.total}", count.rate(), str(count.done - count.scored))
        return table


def show(counts: ProgressCounts, console: Console) -> Progress:
    """The progress display that fits the console."""
    return LiveProgress(counts, console) if console.is_terminal else LineProgress(counts, console)
