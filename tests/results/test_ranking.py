import numpy as np
import pytest
from nora_bench.results.ranking import above, best, mean_maximum_rank_violation, pearson, ranks


def test_the_best_is_better_than_each_of_the_others():
    assert best([(0.80, 500), (0.95, 500), (0.85, 500)]) == 1


@pytest.mark.parametrize("rates", [[(0.95, 500), (0.945, 500)], [(0.9, 10), (0.6, 10)], [(0.9, 500)], [(0.5, 500), (0.5, 500)]])
def test_within_the_noise_nobody_is_best(rates):
    assert best(rates) is None


def test_fewer_distractors_are_better():
    assert best([(0.05, 500), (0.5, 500)], higher=False) == 0


def test_more_rivals_ask_for_more_evidence():
    assert best([(0.95, 500), (0.91, 500)]) == 0
    assert best([(0.95, 500), *[(0.91, 500)] * 20]) is None


def test_a_rate_is_above_another_only_with_evidence():
    assert above((0.9, 50), (0.6, 50))
    assert not above((0.7, 50), (0.6, 50))


def test_policies_that_cannot_be_told_apart_share_a_rank():
    better = np.zeros((3, 3), bool)
    better[0, 2] = better[1, 2] = True
    assert ranks(better) == [1, 1, 3]


def test_a_simulator_in_the_robots_order_violates_nothing():
    assert mean_maximum_rank_violation([0.1, 0.5, 0.9], [0.2, 0.3, 0.4]) == 0


def test_a_swap_costs_the_real_difference_of_the_swapped():
    assert mean_maximum_rank_violation([0.5, 0.1, 0.9], [0.2, 0.3, 0.8]) == pytest.approx((0.1 + 0.1 + 0) / 3)


def test_mmrv_is_not_symmetric_in_simulation_and_robot():
    a, b = [0.5, 0.1, 0.9], [0.2, 0.3, 0.8]
    assert mean_maximum_rank_violation(a, b) != mean_maximum_rank_violation(b, a)


def test_pearson_is_one_on_a_line():
    assert pearson([0.1, 0.2, 0.4], [0.3, 0.5, 0.9]) == pytest.approx(1)
