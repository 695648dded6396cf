"""Two independent samples per task: against Fisher's test, and in simulations."""

from itertools import combinations, product

import numpy as np
import pytest
from nora_bench.results.statistics.exact import fisher_p
from nora_bench.results.statistics.intervals import Stratum
from nora_bench.results.statistics.unpaired_test import exchange_p, subset_sums, unpaired_difference


def stratum(successes, states, weight=1.0, seeds=1):
    return Stratum(weight, [(seeds, seeds)] * successes + [(0, seeds)] * (states - successes))


@pytest.mark.parametrize("counts", [(45, 50, 50, 50), (10, 20, 17, 20), (3, 10, 9, 10)])
def test_one_task_with_as_many_states_in_both_runs_is_fishers_test(counts):
    ka, na, kb, nb = counts
    assert exchange_p([(stratum(ka, na), stratum(kb, nb))]) == pytest.approx(fisher_p(ka, na, kb, nb))


def test_sums_of_random_subsets_match_enumeration():
    values = (0, 1, 1, 3, 2)
    sums = [sum(chosen) for chosen in combinations(values, 2)]
    assert subset_sums(values, 2) == pytest.approx(np.bincount(sums, minlength=8) / len(sums))


def test_two_tasks_match_enumeration():
    a, b = ((1, 1, 0), (0, 1, 1, 0)), ((1, 0), (1, 1, 1, 1))
    tasks = [
        (Stratum(0.5, [(k, 1) for k in of_a]), Stratum(0.5, [(k, 1) for k in of_b])) for of_a, of_b in zip(a, b, strict=True)
    ]

    def differences(of_a, of_b):
        pooled = (*of_a, *of_b)
        for chosen in combinations(range(len(pooled)), len(of_b)):
            to_b = sum(pooled[i] for i in chosen)
            yield to_b / len(of_b) - (sum(pooled) - to_b) / len(of_a)

    observed = sum(np.mean(of_b) - np.mean(of_a) for of_a, of_b in zip(a, b, strict=True))
    divisions = [sum(pair) for pair in product(*map(differences, a, b))]
    expected = np.mean(np.abs(divisions) >= abs(observed) - 1e-9)
    assert exchange_p(tasks) == pytest.approx(expected, abs=1e-3)


def test_tasks_weigh_equally_whatever_their_number_of_states():
    tasks = [(stratum(0, 10, 0.5), stratum(10, 10, 0.5)), (stratum(50, 50, 0.5), stratum(31, 31, 0.5))]
    found = unpaired_difference(tasks)
    assert found.mean == pytest.approx(0.5)
    assert found.low < 0.5 < found.high


def test_seeds_that_are_copies_add_nothing():
    once, copied = (unpaired_difference([(stratum(20, 50, seeds=seeds), stratum(30, 50, seeds=seeds))]) for seeds in (1, 3))
    assert copied.p == pytest.approx(once.p)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.01)


def test_equal_runs_show_nothing():
    found = unpaired_difference([(stratum(50, 50), stratum(50, 50))])
    assert (found.mean, found.p, found.scenes_needed) == (0, 1, None)
    assert found.low < 0 < found.high


def sampled(rng, rate, states, seeds=1, copies=0.0, weight=0.2):
    """A task's stratum; in the share `copies` of its states the seeds are copies."""
    rates = np.where(rng.random(states) < copies, (rng.random(states) < rate).astype(float), rate)
    return Stratum(weight, [(int(k), seeds) for k in rng.binomial(seeds, rates)])


@pytest.mark.parametrize(("seeds", "copies"), [(1, 0.0), (3, 0.7)])
def test_equal_policies_are_rarely_declared_different(seeds, copies):
    """The same with more runs and settings: tests/benchmarks/bench_unpaired.py."""
    rng = np.random.default_rng(5)
    found = [
        unpaired_difference([tuple(sampled(rng, rate, 20, seeds, copies) for _ in "ab") for rate in (0.95, 0.9, 0.7)])
        for _ in range(60)
    ]
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.1
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.9


def test_policy_that_repeats_itself_on_few_states_is_rarely_declared_different_from_one_that_does_not():
    """Their means scatter differently, so the exchanges alone declare 15 % of equal policies different."""
    rng = np.random.default_rng(3)
    pairs = [[(sampled(rng, 0.8, 50, 3), sampled(rng, 0.8, 10, 3, copies=1.0)) for _ in range(3)] for _ in range(80)]
    declared = [unpaired_difference(tasks).p <= 0.05 for tasks in pairs if exchange_p(tasks) <= 0.05]
    assert len(declared) > 0.09 * len(pairs)
    assert sum(declared) <= 0.09 * len(pairs)


def test_verdict_on_unequal_numbers_of_repeated_states_also_needs_the_interval():
    tasks = [(Stratum(1.0, [(2, 3)] * 50), Stratum(1.0, [(3, 3)] * 9 + [(0, 3)]))]
    found = unpaired_difference(tasks)
    assert found.p > exchange_p(tasks)
    assert unpaired_difference(tasks, level=1 - found.p).low >= 0


@pytest.mark.filterwarnings("error")
def test_nearly_equal_runs_with_different_numbers_of_seeds_show_nothing():
    a, b = Stratum(1.0, [(1, 1)] * 10 + [(0, 1)] * 10), Stratum(1.0, [(3, 3)] * 10 + [(0, 3)] * 9 + [(1, 3)])
    assert unpaired_difference([(a, b)]).p > 0.99


@pytest.mark.parametrize(("tasks", "of_b"), [(1, 0.6), (10, 0.8)])
def test_needed_states_give_the_stated_power(tasks, of_b):
    states = 100 // tasks
    planned = unpaired_difference([(stratum(round(0.9 * states), states), stratum(round(of_b * states), states))] * tasks)
    each, rng = -(-planned.scenes_needed // tasks), np.random.default_rng(2)
    pairs = [[tuple(stratum(rng.binomial(each, r), each) for r in (0.9, of_b)) for _ in range(tasks)] for _ in range(200)]
    assert np.mean([exchange_p(pair) <= 0.05 for pair in pairs]) == pytest.approx(0.8, abs=0.06)


def test_verdict_on_runs_with_different_numbers_of_seeds_also_needs_the_interval():
    """Means over one seed and over three scatter differently, so their states are not exchangeable."""
    tasks = [(stratum(46, 50), Stratum(1.0, [(3, 3)] * 44 + [(2, 3)] * 6))]
    found = unpaired_difference(tasks)
    assert found.p >= exchange_p(tasks)
    assert unpaired_difference(tasks, level=1 - found.p).low >= 0
