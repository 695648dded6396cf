import numpy as np
import pytest
from nora_bench.results.stats import Stratum, clopper_pearson, stratified, wilson

# k, n, low, high: Newcombe, Statistics in Medicine 17 (1998), table I, methods 3 (score) and 5 (exact)
NEWCOMBE_SCORE = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)]
NEWCOMBE_EXACT = [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0000, 0.1684), (1, 29, 0.0009, 0.1776)]


@pytest.mark.parametrize(("k", "n", "low", "high"), NEWCOMBE_SCORE)
def test_wilson_is_the_textbook_score_interval(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("k", "n", "low", "high"), NEWCOMBE_EXACT)
def test_clopper_pearson_is_the_textbook_exact_interval(k, n, low, high):
    assert clopper_pearson(k, n) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("method", "name"), [(wilson, "wilson"), (clopper_pearson, "exact")])
@pytest.mark.parametrize(("k", "n", "level"), [(0, 10, 0.95), (10, 10, 0.95), (490, 500, 0.95), (7, 10, 0.99), (1, 3, 0.8)])
def test_intervals_equal_scipy(method, name, k, n, level):
    from scipy.stats import binomtest

    expected = binomtest(k, n).proportion_ci(level, method=name)
    assert method(k, n, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
def test_without_episodes_the_interval_says_nothing(method):
    assert method(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
@pytest.mark.parametrize(("k", "n"), [(-1, 10), (11, 10)])
def test_impossible_counts_are_refused(method, k, n):
    with pytest.raises(ValueError, match="successes of"):
        method(k, n)


def test_a_rate_is_the_mean_of_the_tasks_not_of_the_episodes():
    easy, hard = Stratum(1, [(1, 1)] * 10), Stratum(1, [(0, 1)] * 40)
    assert stratified([easy, hard]).mean == 0.5


def test_one_task_of_single_episodes_has_the_exact_interval():
    found = stratified([Stratum(1, [(1, 1)] * 7 + [(0, 1)] * 3)])
    assert (found.low, found.high) == pytest.approx(clopper_pearson(7, 10))


def test_episodes_that_copy_each_other_count_as_one():
    once = stratified([Stratum(1, [(1, 1)] * 30 + [(0, 1)] * 20)])
    thrice = stratified([Stratum(1, [(3, 3)] * 30 + [(0, 3)] * 20)])
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


def test_independent_seeds_narrow_the_interval():
    clusters = [(k, 3) for k in np.random.default_rng(0).binomial(3, 0.6, 50).tolist()]
    k = sum(k for k, _ in clusters)
    found = stratified([Stratum(1, clusters)])
    assert found.high - found.low < 1.3 * np.diff(clopper_pearson(k, 150))[0]


def test_a_task_without_episodes_drops_out():
    assert stratified([Stratum(1, [(1, 2)]), Stratum(1, [])]).mean == 0.5


def test_without_episodes_there_is_no_rate():
    assert stratified([Stratum(1, [])]) is None


def test_all_successes_still_leave_doubt():
    found = stratified([Stratum(1, [(1, 1)] * 50)] * 10)
    assert (found.mean, found.high) == (1.0, 1.0)
    assert 0.99 < found.low < 1.0


MIXED = (0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.88, 0.8, 0.6)


@pytest.mark.parametrize("rates", [MIXED, (0.95,) * 10, (0.5,) * 10, (0.99,) * 10, (0.7,)], ids=str)
@pytest.mark.parametrize(("scenes", "seeds", "alike"), [(50, 1, 0.5), (10, 1, 0.5), (50, 3, 0.3), (10, 3, 0.9)])
def test_nominal_95_percent_intervals_cover_at_least_94(rates, scenes, seeds, alike):
    """Rates of initial states vary within a task (beta, correlation `alike`); seeds repeat the initial state."""
    rng = np.random.default_rng(7)
    p = np.array(rates)[:, None]
    runs = 1000
    truth, covered = float(np.mean(rates)), 0
    for _ in range(runs):
        scene_rates = rng.beta(p * (1 / alike - 1), (1 - p) * (1 / alike - 1), (len(rates), scenes))
        successes = rng.binomial(seeds, scene_rates)
        found = stratified([Stratum(1, [(k, seeds) for k in row]) for row in successes.tolist()])
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.94


def test_wilson_covers_at_least_94_percent_on_average_over_rates():
    rng = np.random.default_rng(1)
    rates = rng.uniform(0, 1, 4000)
    bounds = [wilson(int(k), 50) for k in rng.binomial(50, rates)]
    assert np.mean([low <= p <= high for p, (low, high) in zip(rates, bounds, strict=True)]) >= 0.94
