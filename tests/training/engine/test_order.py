"""Order of a run's examples: shuffled, in the shares of a mixture, and the same after a resume."""

import numpy as np
import pytest
from nora_bench.envs.errors import InputError
from nora_bench.training.engine.order import MixtureOrder, ShuffledOrder, mixture_of

NAMES, COUNTS = ["bridge", "bridge", "libero", "kitchen"], [30, 30, 30, 10]


def members(**weights):
    return mixture_of(NAMES, COUNTS, weights)


def shares(order, positions, bounds=(60, 90, 100)):
    drawn = np.searchsorted(bounds, order.indices(0, positions), side="right")
    return np.bincount(drawn, minlength=len(bounds)) / positions


def test_every_example_is_drawn_once_per_epoch():
    assert sorted(ShuffledOrder(50, 7).indices(50, 50)) == list(range(50))


def test_sets_have_the_shares_of_examples_times_weight():
    order = MixtureOrder(members(libero=3.0, kitchen=0.5), 0)
    wanted = np.array([60, 90, 5]) / 155
    assert shares(order, 20_000) == pytest.approx(wanted, abs=3e-3)
    assert shares(order, order.block) == pytest.approx(wanted, abs=3 / order.block)


def test_examples_of_a_set_are_drawn_equally_often():
    counts = np.bincount(MixtureOrder(members(libero=3.0), 0).indices(0, 10_000), minlength=100)
    for own in (counts[:60], counts[60:90], counts[90:]):
        assert own.max() - own.min() <= 1


def test_set_of_weight_0_is_left_out():
    found = MixtureOrder(members(bridge=0.0), 0).indices(0, 3000)
    assert found.min() >= 60


def test_a_resumed_run_continues_the_order():
    whole = MixtureOrder(members(libero=2.0), 5).indices(0, 5000)
    for start in (1, 1023, 1024, 3100):
        assert np.array_equal(MixtureOrder(members(libero=2.0), 5).indices(start, 500), whole[start : start + 500])
    assert not np.array_equal(MixtureOrder(members(libero=2.0), 6).indices(0, 5000), whole)


def test_many_small_sets_keep_their_shares():
    sets = mixture_of([f"set{place}" for place in range(60)], [100] * 60, {"set7": 0.01})
    order = MixtureOrder(sets, 0)
    counts = np.bincount(order.indices(0, 3 * order.block) // 100, minlength=60)
    assert counts[7] <= 2 and counts.sum() == 3 * order.block
    assert np.delete(counts, 7).min() > 0.8 * counts.max()


@pytest.mark.parametrize("weights", [{"franka": 1.0}, dict.fromkeys(NAMES, 0.0)])
def test_mixture_without_examples_or_of_an_unknown_set_is_rejected(weights):
    with pytest.raises(InputError, match=r"data\.weights"):
        mixture_of(NAMES, COUNTS, weights)
