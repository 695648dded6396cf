import io
from dataclasses import replace

import pytest
from nora_bench.harness.cli import bar
from nora_bench.harness.execution import progress
from nora_bench.harness.execution.progress import LineProgress, LiveProgress, ProgressCounts, show
from nora_bench.harness.planning.provenance import duration
from nora_bench.results.statistics.intervals import Stratum, stratified
from nora_bench.results.store.records import EpisodeRecord
from rich.console import Console


def record(suite="toy", success: bool | None = True, task=0, init=0, seed=0):
    return EpisodeRecord(
        key="k",
        suite=suite,
        task="t",
        task_id=task,
        instruction="",
        init_state=init,
        seed=seed,
        protocol="p",
        policy="zero",
        success=success,
        steps=1,
        decisions=1,
        termination="error" if success is None else "success" if success else "budget",
    )


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=100)


def terminal():
    return Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)


def said(console):
    return console.file.getvalue()


def test_counts_distinguish_successes_failures_and_errors():
    counts = ProgressCounts.of({"toy": 5}, [record(success=success) for success in (True, True, False, None)])
    assert (counts.done, counts.total, counts.errors) == (4, 5, 1)
    assert counts.suites["toy"].rate().startswith("2 to 3/4  50.0% to 75.0%  [")


def test_perturbed_episodes_are_done_and_in_no_rate():
    late = [
        replace(record(init=init, success=success), perturbation="latency-50ms") for init, success in enumerate((False, None))
    ]
    counts = ProgressCounts.of({"toy": 5}, [record(), *late])
    assert (counts.done, counts.errors) == (3, 1)
    assert counts.suites["toy"].rate().startswith("1/1 ")


def test_live_rate_equals_the_table_rate():
    """Tasks weigh equally and initial states are the clusters: pooled, this would be 4/13 and 31 %."""
    records = [record(task=0, init=i, success=i > 0) for i in range(4)]
    records += [record(task=1, init=i, seed=seed, success=i == 0 and seed == 0) for i in range(3) for seed in range(3)]
    expected = stratified([Stratum(1, [(0, 1), (1, 1), (1, 1), (1, 1)]), Stratum(1, [(1, 3), (0, 3), (0, 3)])])
    assert ProgressCounts.of({"toy": 20}, records).suites["toy"].estimate() == (expected, expected)


def test_interval_is_computed_only_after_a_new_episode(monkeypatch):
    computed = []
    monkeypatch.setattr(progress, "stratified", lambda strata: computed.append(1) or stratified(strata))
    count = ProgressCounts.of({"toy": 20}, [record(init=i) for i in range(10)]).suites["toy"]
    assert len(computed) == 0
    for _ in range(3):
        count.rate()
    count.add(record(init=10))
    count.rate()
    assert len(computed) == 2


def test_pace_counts_this_session_only(monkeypatch):
    counts = ProgressCounts.of({"toy": 10}, [record()] * 4)
    assert counts.pace() == "pace not known yet"
    monkeypatch.setattr(progress.time, "monotonic", lambda: counts.started + 120)
    counts.add(record())
    assert counts.pace() == "0.5 episodes/min, 10 min 00 s left"


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (3599.9, "1 h 00 min")])
def test_duration_is_human_readable(seconds, text):
    assert duration(seconds) == text


def test_terminal_shows_a_live_table_and_a_pipe_lines(console):
    live = show(ProgressCounts({}), terminal())
    live.close()
    assert isinstance(live, LiveProgress)
    assert isinstance(show(ProgressCounts({}), console), LineProgress)


def test_line_shows_rates_errors_and_pace(console):
    lines = LineProgress(ProgressCounts.of({"toy": 3}, []), console)
    lines.finished(record())
    lines.finished(record(success=None))
    lines.close()
    assert said(console).startswith("2/3 episodes, 1 errors; toy 1 to 2/2  50.0% to 100.0%")


def test_tick_prints_no_line_before_it_is_due(console):
    lines = LineProgress(ProgressCounts.of({"toy": 3}, []), console)
    for _ in range(3):
        lines.finished(record())
        lines.tick()
    assert len(said(console).splitlines()) == 1


def test_live_table_shows_suites_workers_and_pace():
    console = terminal()
    live = LiveProgress(ProgressCounts.of({"toy": 3, "other": 2}, []), console)
    live.working(0, "toy/task0/init1/seed0")
    live.working(1, "")
    live.finished(record())
    live.note("[a note]")
    live.tick()
    live.close()
    for text in (
        "1/3",
        "0/2",
        "1/1  100.0%",
        "no episode finished yet",
        "worker 0: toy/task0/init1/seed0 for 0 s",
        "idle",
        "[a note]",
    ):
        assert text in said(console)


def test_counting_without_a_terminal_prints_lines(monkeypatch):
    monkeypatch.setattr(bar, "LINE_S", 0.0)
    console = Console(file=io.StringIO())
    with bar.counting(console, "images", 40) as report:
        report(10)
        report(30)
    first, last = console.file.getvalue().splitlines()
    assert first.startswith("images 10/40, ")
    assert last == "images 40/40, 0 s left"


def test_counting_nothing_prints_nothing():
    console = Console(file=io.StringIO())
    with bar.counting(console, "images", 0):
        pass
    assert console.file.getvalue() == ""
