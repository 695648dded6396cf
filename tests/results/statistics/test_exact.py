from itertools import product
from math import comb, prod

import numpy as np
import pytest
from nora_bench.results.statistics.exact import State, exact_p, fisher_p, shuffle_p, sign_flip_p


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (6, 1), (10, 3), (53, 50), (120, 80)])
def test_with_one_seed_the_test_is_exact_mcnemar(gained, lost):
    from scipy.stats import binomtest

    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    states = [State(((0, 1, 1, 1),))] * gained + [State(((1, 1, 0, 1),))] * lost + [State(((1, 1, 1, 1),))] * 9
    assert exact_p([(1.0, states)]) == pytest.approx(expected)


def test_seeds_of_one_initial_state_do_not_add_evidence():
    once, thrice = (exact_p([(1.0, [State(((0, n, n, n),))] * 5)]) for n in (1, 3))
    assert thrice == pytest.approx(once)


def test_the_exact_test_keeps_its_level():
    rng = np.random.default_rng(5)
    p_values = [sign_flip_p(rng.choice([-3, -1, 0, 1, 3], size=60)) for _ in range(1000)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5


def test_shuffling_counts_every_way_to_deal_a_states_episodes():
    states = [State(((1, 1, 1, 3),)), State(((0, 1, 2, 3),)), State(((1, 2, 0, 1), (1, 1, 1, 2)))]
    steps = [2, 1, 3]
    ways = []
    for step, state in zip(steps, states, strict=True):
        for ka, na, kb, nb in state.appearances:
            dealt = [k for k in range(nb + 1) if 0 <= ka + kb - k <= na]
            own = [(k / nb - (ka + kb - k) / na) * step / len(state.appearances) for k in dealt]
            ways.append(
                [(comb(nb, k) * comb(na, ka + kb - k) / comb(na + nb, ka + kb), d) for k, d in zip(dealt, own, strict=True)]
            )
    observed = sum(step * float(state.difference) for step, state in zip(steps, states, strict=True))
    as_far = (one for one in product(*ways) if abs(sum(d for _, d in one)) >= abs(observed) - 1e-9)
    assert shuffle_p(steps, states) == pytest.approx(sum(prod(chance for chance, _ in one) for one in as_far))


def drawn(rng, rate, likeness, states, seeds):
    """Successes [states] of a policy whose seeds are independent (0), copies (1) or in between."""
    if likeness in (0, 1):
        rates = np.full(states, rate) if likeness == 0 else (rng.random(states) < rate).astype(float)
    else:
        rates = rng.beta(rate * (1 / likeness - 1), (1 - rate) * (1 / likeness - 1), states)
    return rng.binomial(seeds, rates)


def test_seven_of_ninety_against_none_of_thirty_is_chance():
    """Three seeds have three times the chances of one to fail; by their signs alone, seven states against none are no chance."""
    states = [State(((1, 1, 2, 3),))] * 7 + [State(((1, 1, 3, 3),))] * 23
    assert sign_flip_p(np.array([-1] * 7)) < 0.02
    assert exact_p([(1.0, states)]) > 0.05


@pytest.mark.parametrize("likeness", [0, 0.5, 1])
@pytest.mark.parametrize(
    ("seeds", "rate", "states"),
    [((1, 3), 0.5, 50), ((1, 3), 0.9, 20), ((1, 3), 0.98, 130), ((1, 1), 0.95, 50), ((3, 3), 0.95, 50)],
)
def test_equal_policies_differ_in_at_most_5_of_100(seeds, rate, states, likeness):
    """Flipping signs alone says so in 7 of 100 of one seed against three that are independent, at 98 %."""
    rng, runs = np.random.default_rng(11), 250
    said = 0
    for _ in range(runs):
        a, b = (drawn(rng, rate, likeness, states, n) for n in seeds)
        own = [State(((int(x), seeds[0], int(y), seeds[1]),)) for x, y in zip(a, b, strict=True)]
        said += exact_p([(1.0, own)]) <= 0.05
    assert said / runs <= 0.05 + 1.64 * (0.05 * 0.95 / runs) ** 0.5


@pytest.mark.parametrize(("k1", "n1", "k2", "n2"), [(9, 10, 3, 10), (490, 500, 480, 500), (0, 10, 0, 10), (8, 10, 300, 500)])
def test_fisher_equals_scipy(k1, n1, k2, n2):
    from scipy.stats import fisher_exact

    assert fisher_p(k1, n1, k2, n2) == pytest.approx(fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue, rel=1e-6)
