from dataclasses import replace

import pytest
from nora_bench.results.comparisons.standings import rank
from nora_bench.results.conditions import Incomparable


@pytest.fixture
def runs(run, libero):
    """Runs of one suite, told apart by their failures per task: `runs(3, 8)`."""

    def make(*failures, **fields):
        return [
            run(f"run{i}", libero(inits=20, failures=f, suites=("libero_goal",), policy=f"policy{i}", **fields))
            for i, f in enumerate(failures)
        ]

    return make


def test_several_policies_are_ranked_with_ties(runs):
    found = rank(runs(3, 9, 3, 15))
    assert [(s.run.name, s.rank, s.letters) for s in found.ranked] == [
        ("run0", 1, "a"),
        ("run2", 1, "a"),
        ("run1", 3, "b"),
        ("run3", 4, "c"),
    ]
    assert len(found.pairs) == 6


def test_runs_are_ranked_by_the_tables_average(run, libero):
    assert rank([run(name, libero(inits=2)) for name in "abc"]).column.name == "Average"


def test_a_part_of_the_benchmark_is_named_and_no_average(run, libero):
    found = rank([run("a", libero(inits=2)), run("b", libero(inits=2)), run("c", libero(inits=2, tasks=5))])
    assert found.column.name == "mean of Spatial, Object, Goal, Long"
    assert found.part == "tasks 0-4, 2 of 50 initial states"
    assert [standing.left_out for standing in found.ranked if standing.run.name != "c"] == [40, 40]


def test_only_common_scenes_count(run, libero):
    runs = [run(f"{inits}", libero(inits=inits, suites=("libero_goal",))) for inits in (5, 9, 7)]
    assert {standing.rate.low.n for standing in rank(runs).ranked} == {50}


def test_suite_missing_in_a_run_is_named(run, libero):
    runs = [run("a", libero(inits=2, suites=("libero_goal", "libero_10"))), run("b", libero(inits=2, suites=("libero_goal",)))]
    assert rank(runs).others == ("libero_10",)


def test_every_pair_has_to_be_comparable(run, libero):
    runs = [run("a", libero(inits=2)), run("b", libero(inits=2)), run("c", libero(inits=2), config={"max_steps": 100})]
    with pytest.raises(Incomparable, match="max steps"):
        rank(runs)
    assert any(duel.condition_differences for duel in rank(runs, anyway=True).pairs)


def test_losing_what_would_be_lost_wins_no_rank(run, libero):
    """A run whose failures had all ended in errors was once ranked first."""
    records = libero(failures=5, suites=("libero_goal",))
    lost = [r if r.success else replace(r, success=None, termination="error", cause="policy") for r in records]
    found = rank([run("a", records), run("b", records), run("lost", lost)])
    assert {standing.rank for standing in found.ranked} == {1}
    assert next(s.errors for s in found.ranked if s.run.name == "lost") == {"policy": 50}


def test_runs_that_share_nothing_cannot_be_ranked(run, libero):
    runs = [run(suite, libero(suites=(suite,), inits=1)) for suite in ("libero_goal", "libero_10", "libero_spatial")]
    with pytest.raises(ValueError, match="no scene in common"):
        rank(runs)
