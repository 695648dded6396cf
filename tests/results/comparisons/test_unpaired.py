"""Runs without a common initial state: two independent samples of each task."""

from dataclasses import replace

import pytest
from nora_bench.results.comparisons.comparison import compare
from nora_bench.results.comparisons.reports import report_comparison


@pytest.fixture
def two(run, libero):
    """A run on published states and one on fresh ones, with so many failures per task: `two(2, 10)`."""

    def make(*failures, inits=20, suites=("libero_goal", "libero_10"), **fields):
        return [
            run(f"run{i}", libero(inits=inits, failures=f, suites=suites, init_set=init_set, **fields))
            for i, (f, init_set) in enumerate(zip(failures, ("", "fresh"), strict=True))
        ]

    return make


def test_published_and_fresh_states_are_never_paired(two):
    column = compare(*two(2, 10)).columns[0]
    assert (column.paired, column.difference.pairs, column.flipped) == (False, 0, ())
    assert column.difference.mean == pytest.approx(-0.4)
    assert column.verdict == "A is better"


def test_equal_rates_show_no_difference(two):
    assert {column.verdict for column in compare(*two(2, 2)).columns} == {"no difference shown"}


def test_part_names_the_states_of_both(two):
    assert compare(*two(2, 2)).columns[0].part == "A: 20 of 50 initial states, B: fresh initial states 0-19"


def test_sets_of_states_are_among_the_differing_conditions(two):
    differing = {one.name: (one.a, one.b, one.refused) for one in compare(*two(2, 2)).condition_differences}
    assert differing["initial_states"] == (("published",), ("fresh",), False)


def test_two_ranges_of_fresh_states_are_compared(run, libero):
    states = libero(inits=40, suites=("libero_goal",), init_set="fresh")
    a, b = (run(name, [r for r in states if (r.init_state < 20) == first]) for name, first in (("a", True), ("b", False)))
    (column,) = compare(a, b).columns
    assert not column.paired


def test_one_common_state_makes_the_comparison_paired(run, libero):
    states = libero(inits=21, suites=("libero_goal",))
    a, b = run("a", states[:]), run("b", [r for r in states if r.init_state == 20])
    (column,) = compare(a, b).columns
    assert (column.paired, column.difference.scenes) == (True, 10)


def test_appearances_of_the_same_states_are_no_independent_samples(run, record):
    def of(color):
        return run(color, [record("libero_goal", 0, k, variant=color, key=f"{color}{k}") for k in range(9)])

    assert compare(of("red"), of("green")).columns == ()


def test_tasks_of_only_one_run_are_omitted(run, libero):
    a = run("a", libero(inits=10, tasks=5, suites=("libero_goal",)))
    b = run("b", libero(inits=10, suites=("libero_goal",), init_set="fresh"))
    (column,) = compare(a, b).columns
    assert (column.only_a, column.only_b) == (0, 50)


def test_errors_count_against_the_apparent_winner(run, libero):
    a = run("a", libero(inits=10, failures=2, suites=("libero_goal",)))
    fresh = libero(inits=10, suites=("libero_goal",), init_set="fresh")
    b = run("b", [replace(r, success=None, termination="error") if r.init_state < 4 else r for r in fresh])
    (column,) = compare(a, b).columns
    assert column.difference.means == pytest.approx((-0.2, 0.2))
    assert (column.difference.p, column.errors_b) == (1, {"machine": 40})


def test_noninferiority_needs_common_states(two):
    with pytest.raises(ValueError, match="no scene in common"):
        report_comparison(*two(2, 2), margin=0.02)


def test_json_says_that_nothing_is_paired(two):
    assert [match["paired"] for match in compare(*two(2, 2)).to_json()["matches"]] == [False, False]
