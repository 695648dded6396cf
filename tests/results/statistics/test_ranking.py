import numpy as np
import pytest
from nora_bench.results.statistics.ranking import above, best, letters, ranks


def test_the_best_is_better_than_each_of_the_others():
    assert best([(0.80, 500), (0.95, 500), (0.85, 500)]) == 1


@pytest.mark.parametrize("rates", [[(0.95, 500), (0.945, 500)], [(0.9, 10), (0.6, 10)], [(0.9, 500)], [(0.5, 500), (0.5, 500)]])
def test_within_the_noise_nobody_is_best(rates):
    assert best(rates) is None


def test_fewer_distractors_are_better():
    assert best([(0.05, 500), (0.5, 500)], higher=False) == 0


def test_a_true_best_needs_no_more_evidence_among_many():
    assert best([(0.95, 500), *[(0.91, 500)] * 20]) == 0


def test_a_rate_is_above_another_only_with_evidence():
    assert above((0.9, 50), (0.6, 50))
    assert not above((0.7, 50), (0.6, 50))


def test_indistinguishable_policies_share_a_rank():
    better = np.zeros((3, 3), bool)
    better[0, 2] = better[1, 2] = True
    assert ranks(better) == [1, 1, 3]


def shared(found, i, j):
    return bool(set(found[i].split()) & set(found[j].split()))


def test_indistinguishable_policies_share_a_letter():
    different = np.zeros((4, 4), bool)
    for i, j in ((0, 2), (0, 3), (1, 3)):
        different[i, j] = different[j, i] = True
    assert letters(different, [0, 1, 2, 3]) == ["a", "a b", "b c", "c"]


@pytest.mark.parametrize("seed", range(20))
def test_letters_say_exactly_which_pairs_differ(seed):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((7, 7)) < 0.4, 1)
    different = upper | upper.T
    found = letters(different, list(rng.permutation(7)))
    assert all(shared(found, i, j) != different[i, j] for i in range(7) for j in range(7) if i != j)


def test_letters_go_on_behind_z():
    different = ~np.eye(28, dtype=bool)
    assert letters(different, range(28))[25:] == ["z", "aa", "ab"]
