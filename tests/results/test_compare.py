import numpy as np
import pytest
from nora_bench.results.compare import difference, fisher_p, holm, mean_difference, pair, sign_flip_p


@pytest.fixture
def pairs(record):
    """Pairs of one task from a table of outcomes: `pairs("10 01 11")`, A's outcome first, one initial state each."""

    def make(outcomes, task=0):
        both = [(o[0] == "1", o[1] == "1") for o in outcomes.split()]
        a = [record(task=task, init=i, success=x) for i, (x, _) in enumerate(both)]
        b = [record(task=task, init=i, success=y, policy="other") for i, (_, y) in enumerate(both)]
        return pair(a, b)

    return make


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (6, 1), (10, 3), (53, 50), (120, 80)])
def test_with_one_seed_the_test_is_exact_mcnemar(gained, lost):
    from scipy.stats import binomtest

    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert sign_flip_p(np.array([1] * gained + [-1] * lost + [0] * 9)) == pytest.approx(expected)


def test_seeds_of_one_initial_state_do_not_add_evidence():
    once, thrice = sign_flip_p(np.array([1] * 5)), sign_flip_p(np.array([3] * 5))
    assert thrice == pytest.approx(once)


@pytest.mark.parametrize(("k1", "n1", "k2", "n2"), [(9, 10, 3, 10), (490, 500, 480, 500), (0, 10, 0, 10), (8, 10, 300, 500)])
def test_fisher_equals_scipy(k1, n1, k2, n2):
    from scipy.stats import fisher_exact

    assert fisher_p(k1, n1, k2, n2) == pytest.approx(fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue, rel=1e-6)


def test_holm_on_his_own_terms():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_the_difference_counts_what_each_won(pairs):
    found = difference(pairs("10 01 01 01 11 00"))
    assert (found.gained, found.lost, found.pairs) == (3, 1, 6)
    assert found.mean == pytest.approx(2 / 6)


def test_the_interval_is_bonett_and_prices(pairs):
    """Their adjusted Wald interval for 8 gained, 2 lost of 40: one added to each, two to the number."""
    found = difference(pairs("01 " * 8 + "10 " * 2 + "11 " * 30))
    p12, p21, n = 9 / 42, 3 / 42, 42
    arm = 1.959964 * ((p12 + p21 - (p12 - p21) ** 2) / n) ** 0.5
    assert (found.low, found.high) == pytest.approx((p12 - p21 - arm, p12 - p21 + arm), abs=0.004)


def test_tasks_weigh_equally(pairs):
    found = difference([*pairs("01 " * 10, task=0), *pairs("11 " * 30, task=1)])
    assert found.mean == 0.5


def test_the_test_weighs_tasks_as_the_mean_does(pairs):
    """A wins 6 of 6 scenes of one task, B 12 of 100 of the other: the mean is for A, and so is the test."""
    found = difference([*pairs("10 " * 6, task=0), *pairs("01 " * 12 + "11 " * 88, task=1)])
    assert found.mean == pytest.approx(-0.44)
    assert found.p < 0.05


def test_equal_runs_have_no_difference_but_still_doubt(pairs):
    found = difference(pairs("11 " * 50))
    assert (found.mean, found.p, found.scenes_needed) == (0.0, 1.0, None)
    assert found.low < 0 < found.high


def test_a_small_difference_needs_many_more_scenes(pairs):
    found = difference(pairs("01 " * 6 + "10 " * 4 + "11 " * 90))
    expected = (1.959964 + 0.841621) ** 2 * (0.1 - 0.02**2) / 0.02**2
    assert found.scenes_needed == pytest.approx(expected, rel=0.02)


def test_errored_and_missing_scenes_are_left_out(record):
    a = [record(init=i) for i in range(3)]
    b = [record(init=0, success=None), record(init=1), record(init=9)]
    assert [p.a.init_state for p in pair(a, b)] == [1]


def test_protocols_are_compared_on_equal_scenes(record):
    other = record(key="libero_goal/task_0/init0/seed0@libero/nora", protocol="libero/nora", success=False)
    assert [p.difference for p in pair([record()], [other])] == [-1]


def test_a_repeated_pair_counts_once(record):
    a = [record(seed=s, trajectory_sha256="a") for s in range(3)]
    b = [record(seed=s, trajectory_sha256="b") for s in range(3)]
    assert len(pair(a, b)) == 1


@pytest.mark.parametrize(("p_a", "p_b", "both"), [(0.9, 0.95, 0.88), (0.95, 0.95, 0.93), (0.5, 0.6, 0.4), (0.99, 0.99, 0.985)])
@pytest.mark.parametrize(("tasks", "scenes"), [(10, 50), (10, 5), (1, 50)])
def test_intervals_of_differences_cover_at_least_94_percent(p_a, p_b, both, tasks, scenes):
    rng, runs, covered = np.random.default_rng(3), 2000, 0
    chances = [both, p_a - both, p_b - both, 1 - p_a - p_b + both]
    for _ in range(runs):
        draws = np.array([0.0, -1, 1, 0])[rng.choice(4, size=(tasks, scenes), p=chances)]
        _, low, high, _ = mean_difference({("suite", str(t), ""): row for t, row in enumerate(draws)})
        covered += low <= p_b - p_a <= high
    assert covered / runs >= 0.94


def test_the_exact_test_keeps_its_level():
    rng = np.random.default_rng(5)
    p_values = [sign_flip_p(rng.choice([-3, -1, 0, 1, 3], size=60)) for _ in range(1000)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5
