import numpy as np
import pytest

pytest.importorskip("scipy")
from nora_bench.results.statistics.over_seeds import Design, hierarchical_interval, power, smallest_effect, student


def test_interval_is_students_t():
    found = student([1.0, 2.0, 3.0])
    half = 4.302653 / 3**0.5  # tables: t(0.975, 2) = 4.3027
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))
    assert found.p == pytest.approx(0.0742, abs=1e-4) and found.seeds == 3  # t = 3.4641


def test_interval_excludes_the_hypothesis_exactly_where_p_is_below_five_percent():
    for shift in np.linspace(-2, 2, 41):
        found = student([1.0 + shift, 2.0 + shift, 3.0 + shift, 1.5 + shift])
        assert (found.low > 0 or found.high < 0) == (found.p < 0.05)


def test_equal_seeds_are_certain():
    assert student([0.2, 0.2]).p == 0.0
    assert student([0.5, 0.5], hypothesis=0.5).p == 1.0


def test_one_seed_has_no_interval():
    with pytest.raises(ValueError, match="two seeds"):
        student([0.1])


@pytest.mark.parametrize(("states", "effect", "expected"), [(160, 0.08, 0.81), (200, 0.08, 0.86), (300, 0.08, 0.93)])
def test_power_is_that_of_simulated_experiments(states, effect, expected):
    design = Design(seeds=6, states=states, between=0.03, discordance=0.35)
    generator = np.random.default_rng(0)
    true = generator.normal(effect, design.between, (4000, 6))
    gained = (design.discordance + true) / 2
    outcomes = generator.multinomial(states, np.stack([gained, gained - true, 1 - design.discordance + 0 * true], axis=-1))
    observed = (outcomes[..., 0] - outcomes[..., 1]) / states
    t = observed.mean(1) / (observed.std(1, ddof=1) / 6**0.5)
    assert power(design, effect) == pytest.approx(expected, abs=0.005)
    assert power(design, effect) == pytest.approx(float((abs(t) > 2.5706).mean()), abs=0.02)


def test_power_without_an_effect_is_the_level():
    assert power(Design(6, 100, 0.03, 0.3), 0.0) == pytest.approx(0.05, abs=1e-3)


def test_smallest_effect_has_the_wanted_power():
    design = Design(6, 120, 0.03, 0.35)
    assert power(design, smallest_effect(design)) == pytest.approx(0.8, abs=0.002)
    assert smallest_effect(Design(2, 1, 1.0, 1.0)) == 1.0


def test_hierarchical_interval_covers_the_mean_and_follows_both_levels():
    weights = {"a": 0.5, "b": 0.5}
    alike = [{"a": [0.0, 1.0] * 20, "b": [1.0] * 40}] * 6
    low, high = hierarchical_interval(alike, weights)
    assert low < 0.75 < high and high - low < 0.15  # the states' share alone
    apart = [{"a": [value] * 40, "b": [value] * 40} for value in (-0.2, -0.1, 0.0, 0.1, 0.2, 0.3)]
    low, high = hierarchical_interval(apart, weights)
    assert low < 0.05 < high and high - low > 0.2  # the seeds' share alone
    assert hierarchical_interval(apart, weights) == (low, high)
