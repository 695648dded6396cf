import numpy as np
import pytest
from nora_bench.results.comparisons import noninferiority
from nora_bench.results.comparisons.noninferiority import assess, counted, noninferiority_test, score
from nora_bench.results.statistics.exact import State
from nora_bench.results.statistics.paired_test import TaskDifferences

WIN, DRAW, LOSS = State(((0, 1, 1, 1),)), State(((1, 1, 1, 1),)), State(((1, 1, 0, 1),))


def task(*, succeeded=0, drawn=0, lost=0):
    return TaskDifferences(1.0, [WIN] * succeeded + [DRAW] * drawn + [LOSS] * lost)


def test_the_bound_is_where_the_claim_ends():
    tasks = [task(succeeded=12, drawn=480, lost=8)]
    bound = -assess(tasks, 0.02).low
    assert assess(tasks, bound + 1e-6).shown
    assert not assess(tasks, bound - 1e-6).shown


def test_a_loss_of_nothing_is_not_shown_by_a_few_states():
    """All alike on 130 states: of a true loss of 2 % that is seen in 7 of 100 runs, and Bonett and Price's bound is higher."""
    assert not assess([task(drawn=130)], 0.02).shown
    assert assess([task(drawn=400)], 0.02).shown


def test_seeds_that_are_copies_show_no_more():
    def copies(n):
        return [
            TaskDifferences(1.0, [State(((n, n, n, n),))] * 290 + [State(((n, n, 0, n),))] * 5 + [State(((0, n, n, n),))] * 5)
        ]

    assert assess(copies(3), 0.02).low == pytest.approx(assess(copies(1), 0.02).low)


def test_a_policy_that_is_clearly_better_is_no_worse():
    assert assess([task(succeeded=50, drawn=50)], 0.02).low > 0


def test_errors_count_against_the_newer_policy(run, libero, record):
    a = run("a", libero(suites=("libero_goal",)))
    b = run("b", [record(task=t, init=i, success=None if i < 5 else True) for t in range(10) for i in range(50)])
    found = noninferiority_test(a, b, 0.02)
    assert (found.by, found.part) == ("Goal", "")
    assert found.mean == pytest.approx(-0.1)
    assert not found.shown


def test_run_with_missing_scenes_is_never_shown_to_be_no_worse(run, libero):
    a = run("a", libero(suites=("libero_goal",), failures=10))
    b = run("b", [r for r in libero(suites=("libero_goal",)) if r.init_state < 45])
    found = noninferiority_test(a, b, 0.02)
    assert (found.shown, found.missing) == (False, 50)
    found = noninferiority_test(b, a, 0.9)
    assert (found.shown, found.missing) == (True, 0)


@pytest.mark.parametrize(
    ("rate", "states", "margin"), [(1.0, 150, 0.02), (0.98, 500, 0.02), (0.95, 500, 0.02), (0.98, 50, 0.05), (0.8, 500, 0.05)]
)
def test_at_the_margin_the_claim_is_made_in_5_of_100_at_most(rate, states, margin):
    """The score test alone, of which the claim is a part; the whole and more settings: tests/benchmarks/bench_comparisons.py."""
    rng, runs = np.random.default_rng(13), 4000
    a, b = (rng.random((runs, states)) < p for p in (rate, rate - margin))
    made = score(counted(np.ones(states), b.astype(float) - a), margin) >= noninferiority.QUANTILE
    assert made.mean() <= 0.05 + 1.64 * (0.05 * 0.95 / runs) ** 0.5
