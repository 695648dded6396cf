import numpy as np
import pytest
from nora_bench.results.statistics.intervals import Stratum, clopper_pearson, stratified
from simulated_rates import Setting, coverage, draw, interval

# k, n, low, high: Newcombe, Statistics in Medicine 17 (1998), table I, method 5 (exact)
NEWCOMBE_EXACT = [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0000, 0.1684), (1, 29, 0.0009, 0.1776)]


@pytest.mark.parametrize(("k", "n", "low", "high"), NEWCOMBE_EXACT)
def test_clopper_pearson_is_the_textbook_exact_interval(k, n, low, high):
    assert clopper_pearson(k, n) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("k", "n", "level"), [(0, 10, 0.95), (10, 10, 0.95), (490, 500, 0.95), (7, 10, 0.99), (1, 3, 0.8)])
def test_clopper_pearson_equals_scipy(k, n, level):
    from scipy.stats import binomtest

    expected = binomtest(k, n).proportion_ci(level, method="exact")
    assert clopper_pearson(k, n, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_episodes_the_interval_says_nothing():
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 10), (11, 10)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="successes of"):
        clopper_pearson(k, n)


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


def test_bounds_and_mean_are_in_order_and_have_a_width():
    for outcomes in ([[0, 0]], [[1, 1]], [[0, 1]], [[0], [1]], [[1] * 50, [1]], [[1] * 50, [0]], [[0] * 50, [1, 0]]):
        found = stratified([Stratum(1, [(k, 1) for k in own]) for own in outcomes])
        assert 0 <= found.low <= found.mean <= found.high <= 1
        assert found.low < found.high


def test_clusters_are_the_initial_states_behind_a_rate():
    found = stratified([Stratum(1, [(1, 3), (3, 3)]), Stratum(1, [(0, 1)])])
    assert (found.k, found.n, found.clusters) == (4, 7, 3)


def test_equal_tasks_of_single_episodes_have_the_exact_interval_of_all_episodes():
    rng = np.random.default_rng(3)
    tasks = [[(int(k), 1) for k in rng.permutation([1] * 45 + [0] * 5)] for _ in range(10)]
    found = stratified([Stratum(1, own) for own in tasks])
    assert (found.low, found.high) == pytest.approx(clopper_pearson(450, 500), abs=2e-4)


def test_tasks_apart_are_known_better_than_a_coin():
    apart = stratified([Stratum(1, [(0, 1)] * 50)] * 5 + [Stratum(1, [(1, 1)] * 50)] * 5)
    coin = clopper_pearson(250, 500)
    assert apart.high - apart.low < 0.25 * (coin[1] - coin[0])


def test_a_task_of_one_state_leaves_its_whole_weight_in_doubt():
    """However often that state was played: pooled, 470 of 470 successes would say 99 %."""
    found = stratified([Stratum(1, [(1, 1)] * 50)] * 9 + [Stratum(1, [(20, 20)])])
    assert found.low == pytest.approx(0.9, abs=0.005)


def test_complete_benchmark_leaves_only_the_policys_noise():
    clusters = [(k, 3) for k in [3] * 40 + [0] * 8 + [2] * 2]
    drawn = stratified([Stratum(1, clusters, states=50)] * 4)
    fixed = stratified([Stratum(1, clusters, states=50)] * 4, estimand="benchmark")
    assert fixed.mean == drawn.mean
    assert fixed.high - fixed.low < 0.5 * (drawn.high - drawn.low)


def test_a_deterministic_policy_on_all_states_of_a_benchmark_has_a_known_rate():
    found = stratified([Stratum(1, [(1, 1)] * 9 + [(0, 1)], states=10, deterministic=True)], estimand="benchmark")
    assert found.low == found.mean == found.high == 0.9
    assert found.effective == float("inf")


def test_one_seed_of_a_stochastic_policy_may_be_all_noise():
    once = [Stratum(1, [(1, 1)] * 40 + [(0, 1)] * 10, states=50)]
    assert stratified(once, estimand="benchmark") == stratified(once)


def test_without_the_number_of_states_a_benchmark_counts_as_a_sample():
    once = [Stratum(1, [(2, 2)] * 40 + [(0, 2)] * 10)]
    assert stratified(once, estimand="benchmark") == stratified(once)


def test_more_states_than_a_benchmark_has_are_refused():
    with pytest.raises(ValueError, match="11 initial states were evaluated of a task that has 10"):
        stratified([Stratum(1, [(1, 1)] * 11, states=10)], estimand="benchmark")


APART = (1, 1, 1, 0.97, 0.9, 0.5, 0)
MIXED = (0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.88, 0.8, 0.6)
DRAWERS = [0.94] * 3 + [0.88] + [0.66] * 6, [(25, 9)] * 3 + [(60, 8)] + [(9, 7)] * 6, [1 / 9] * 3 + [1 / 3] + [1 / 18] * 6

SETTINGS = {
    "one task": Setting([0.9], [(50, 1)]),
    "one task, seeds": Setting([0.9], [(12, 5)], 0.4),
    "two tasks": Setting([0.97, 0.6], [(20, 1)] * 2),
    "near 1": Setting([0.995] * 8, [(40, 1)] * 8),
    "mixed": Setting(MIXED, [(50, 1)] * 10),
    "mixed, seeds": Setting(MIXED, [(30, 3)] * 10, 0.5),
    "apart": Setting(APART, [(40, 1)] * 7),
    "apart, copies": Setting(APART, [(40, 4)] * 7, 1.0),
    "all in half": Setting([0.5] * 6, [(25, 2)] * 6, 0.3),
    "single episodes": Setting(MIXED, [(1, 1)] * 10),
    "few states, seeds": Setting([0.8] * 6, [(4, 3)] * 6, 0.6),
    "twenty tasks": Setting(MIXED * 2, [(10, 1)] * 20),
    "SimplerEnv": Setting(DRAWERS[0], DRAWERS[1], 0.8, DRAWERS[2]),
    "cut": Setting(MIXED, [(50, 3)] * 6 + [(8, 3)] * 4, 0.3),
    "cut to one state": Setting([0.998] * 10, [(50, 1)] * 9 + [(1, 1)]),
    "seeds in some tasks": Setting(MIXED, [(50, 1)] * 5 + [(50, 4)] * 5, 0.7),
    "one state again and again": Setting([1] * 9 + [0.5], [(50, 1)] * 9 + [(1, 20)], 1.0),
    "robot": Setting([0.9, 0.8, 0.7, 0.6, 0.5, 0.9, 0.7, 0.5], [(10, 1)] * 4 + [(1, 10)] * 4, 0.7),
    "benchmark, one seed": Setting(MIXED, [(50, 1)] * 10, 0.4, states=50),
    "benchmark, seeds": Setting(MIXED, [(50, 3)] * 10, 0.6, states=50),
    "benchmark, a part": Setting(MIXED, [(30, 3)] * 10, 0.6, states=50),
    "benchmark, a part, deterministic": Setting(MIXED, [(30, 1)] * 10, 1.0, states=50, deterministic=True),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_nominal_95_percent_intervals_cover_at_least_94(name):
    runs = 2000
    held, _ = coverage(SETTINGS[name], runs, np.random.default_rng(7))
    assert held >= 0.94 - 2 * (0.94 * 0.06 / runs) ** 0.5


@pytest.mark.parametrize("name", ["mixed", "apart", "near 1", "twenty tasks", "all in half"])
def test_intervals_are_hardly_wider_than_tasks_variances_ask_for(name):
    """Against the exact interval at p(1-p) over the variance that the tasks' true rates and likeness give."""
    setting = SETTINGS[name]
    _, found = coverage(setting, 1000, np.random.default_rng(8))
    rates, (states, seeds) = np.array(setting.rates), setting.played[0]
    sizes = states * seeds / (1 + (seeds - 1) * setting.alike)
    mean, size = rates.mean(), rates.mean() * (1 - rates.mean()) / (rates * (1 - rates) / sizes).mean() * len(rates)
    low, high = clopper_pearson(mean * size, size)
    assert found <= 1.06 * (high - low)


def test_the_simulated_interval_is_that_of_tables():
    setting = Setting(APART, [(20, 3)] * 5 + [(2, 9), (7, 1)], 0.5)
    succeeded, episodes, _ = draw(setting, 5, np.random.default_rng(9))
    low, high = interval(setting, succeeded, episodes)
    for run in range(5):
        clusters = [
            [(int(k), int(n)) for k, n in zip(*pair, strict=True) if n] for pair in zip(succeeded[run], episodes, strict=True)
        ]
        found = stratified([Stratum(1, own) for own in clusters])
        assert (found.low, found.high) == pytest.approx((low[run], high[run]), abs=1e-5)
