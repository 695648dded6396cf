from fractions import Fraction

import numpy as np
import pytest
from nora_bench.results.statistics.exact import State
from nora_bench.results.statistics.paired_test import (
    TaskDifferences,
    align_with_test,
    difference,
    holm,
    mean_difference,
    over_both_readings,
    simultaneous,
)


@pytest.fixture
def task():
    """One task from a table of outcomes: `task("10 01 11")`, one initial state each, A's outcome first; `task("1000", ...)` has a
    seed of A and three of B."""

    def make(outcomes, weight=1.0):
        def state(text):
            half = 1 if len(text) in (2, 4) else len(text) // 2
            a, b = text[:half], text[half:]
            return State(((a.count("1"), len(a), b.count("1"), len(b)),))

        return TaskDifferences(weight, [state(one) for one in outcomes.split()])

    return make


def test_holm_on_his_own_terms():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_the_difference_counts_what_each_succeeded(task):
    found = difference([task("10 01 01 01 11 00")])
    assert (found.gained, found.lost, found.pairs) == (3, 1, 6)
    assert found.mean == pytest.approx(2 / 6)


def test_one_seed_is_compared_with_the_mean_of_three(task):
    assert task("1100 0011").differences == [Fraction(-2, 3), Fraction(2, 3)]
    assert difference([task("1100 1111 1111")]).mean == pytest.approx(-2 / 9)


def test_looks_of_an_initial_state_are_averaged():
    assert State(((0, 1, 1, 1), (1, 1, 1, 1))).difference == Fraction(1, 2)


def test_the_interval_is_bonett_and_prices(task):
    """Their adjusted Wald interval for 8 gained, 2 lost of 40: one added to each, two to the number."""
    found = difference([task("01 " * 8 + "10 " * 2 + "11 " * 30)])
    p12, p21, n = 9 / 42, 3 / 42, 42
    arm = 1.959964 * ((p12 + p21 - (p12 - p21) ** 2) / n) ** 0.5
    assert (found.low, found.high) == pytest.approx((p12 - p21 - arm, p12 - p21 + arm), abs=0.004)


def test_tasks_weigh_equally(task):
    assert difference([task("01 " * 10), task("11 " * 30)]).mean == 0.5


def test_the_test_weighs_tasks_as_the_mean_does(task):
    """A wins 6 of 6 scenes of one task, B 12 of 100 of the other: the mean is for A, and so is the test."""
    found = difference([task("10 " * 6), task("01 " * 12 + "11 " * 88)])
    assert found.mean == pytest.approx(-0.44)
    assert found.p < 0.05


def test_equal_runs_have_no_difference_but_still_doubt(task):
    found = difference([task("11 " * 50)])
    assert (found.mean, found.p, found.scenes_needed) == (0.0, 1.0, None)
    assert found.low < 0 < found.high


def test_a_small_difference_needs_many_more_scenes(task):
    found = difference([task("01 " * 6 + "10 " * 4 + "11 " * 90)])
    expected = (1.959964 + 0.841621) ** 2 * (0.1 - 0.02**2) / 0.02**2
    assert found.scenes_needed == pytest.approx(expected, rel=0.02)


def test_states_needed_account_for_the_other_columns(task):
    tasks = [task("01 " * 6 + "10 " * 4 + "11 " * 90)]
    alone, of_five = difference(tasks).scenes_needed, difference(tasks, simultaneous(5)).scenes_needed
    assert of_five == pytest.approx(alone * ((2.575829 + 0.841621) / (1.959964 + 0.841621)) ** 2, rel=0.01)


def test_a_verdict_has_to_stand_in_both_readings(task):
    low, high = difference([task("01 " * 4 + "11 " * 40)]), difference([task("01 " * 12 + "11 " * 32)])
    found = over_both_readings(low, high)
    assert (found.mean, found.means, found.p) == (low.mean, (low.mean, high.mean), low.p)
    assert (found.low, found.high) == (low.low, high.high)


def test_readings_that_disagree_leave_nothing(task):
    found = over_both_readings(difference([task("10 " * 20)]), difference([task("01 " * 20)]))
    assert (found.mean, found.p, found.scenes_needed) == (0.0, 1.0, None)
    assert found.low < 0 < found.high


def test_an_interval_agrees_with_the_test(task):
    close = difference([task("01 " * 8 + "10 " * 1 + "11 " * 91)], simultaneous(20))
    assert close.low < 0
    assert align_with_test(close, settled=True).low == 0
    clear = difference([task("01 " * 30 + "11 " * 70)])
    assert clear.low > 0
    assert align_with_test(clear, settled=False).low == 0


@pytest.mark.parametrize(("p_a", "p_b", "both"), [(0.9, 0.95, 0.88), (0.95, 0.95, 0.93), (0.5, 0.6, 0.4), (0.99, 0.99, 0.985)])
@pytest.mark.parametrize(("tasks", "scenes"), [(10, 50), (10, 5), (1, 50)])
def test_intervals_of_differences_cover_at_least_94_percent(p_a, p_b, both, tasks, scenes):
    rng, runs, covered = np.random.default_rng(3), 2000, 0
    chances = [both, p_a - both, p_b - both, 1 - p_a - p_b + both]
    for _ in range(runs):
        draws = np.array([0.0, -1, 1, 0])[rng.choice(4, size=(tasks, scenes), p=chances)]
        _, low, high, _ = mean_difference([(1.0, row) for row in draws])
        covered += low <= p_b - p_a <= high
    assert covered / runs >= 0.94


def test_intervals_of_a_family_hold_together():
    """Four columns with one true difference among them: all four intervals, brought in line with Holm's verdicts, hold."""
    rng, runs, held = np.random.default_rng(7), 200, 0
    for _ in range(runs):
        columns = []
        for gain in (0.05, 0, 0, 0):
            draws = rng.choice(3, size=100, p=[0.05, 0.90 - gain, 0.05 + gain])
            states = [State((((1, 1, 0, 1), (1, 1, 1, 1), (0, 1, 1, 1))[draw],)) for draw in draws]
            columns.append(difference([TaskDifferences(1.0, states)], simultaneous(4)))
        corrected = holm([one.p for one in columns])
        agreed = [align_with_test(one, settled=p <= 0.05) for one, p in zip(columns, corrected, strict=True)]
        held += all(one.low <= truth <= one.high for one, truth in zip(agreed, (0.05, 0, 0, 0), strict=True))
    assert held / runs >= 0.94
