"""How many initial states a comparison needs: promised power against simulated power of the real test."""

import json

import numpy as np
import pytest
from nora_bench.results import layouts
from nora_bench.results.comparisons.sample_size import column_plans, kish, likeness, power, smallest_difference, states_needed
from nora_bench.results.statistics.exact import sign_flip_p


def play(rng, rate, states, seeds, alike):
    """Successes of each initial state, [states]: beta-binomial with that intra-class correlation."""
    if alike == 0:
        chances = np.full(states, rate)
    elif alike == 1:
        return seeds * (rng.random(states) < rate)
    else:
        scale = 1 / alike - 1
        chances = rng.beta(rate * scale, (1 - rate) * scale, states)
    return rng.binomial(seeds, chances)


def simulated_power(base, gain, seeds, alike, states, level, runs=2500):
    rng = np.random.default_rng(7)
    shown = 0
    for _ in range(runs):
        sums = play(rng, base + gain, states, seeds, alike) - play(rng, base, states, seeds, alike)
        shown += sums.sum() > 0 and sign_flip_p(sums) <= level
    return shown / runs


SETTINGS = [
    # base, gain, seeds, likeness, level
    (0.90, 0.05, 1, 0.0, 0.05),
    (0.95, 0.04, 1, 0.0, 0.0125),
    (0.50, 0.10, 1, 0.0, 0.05),
    (0.72, 0.08, 3, 0.3, 0.05),
    (0.90, 0.05, 3, 0.5, 0.0125),
    (0.50, 0.10, 3, 0.0, 0.05),
    (0.30, 0.10, 5, 0.5, 0.01),
    (0.90, 0.06, 3, 1.0, 0.05),
]


@pytest.mark.parametrize(("base", "gain", "seeds", "alike", "level"), SETTINGS)
def test_the_promised_power_is_the_real_tests_within_two_points(base, gain, seeds, alike, level):
    states = states_needed(gain, base, seeds, alike, level)
    assert simulated_power(base, gain, seeds, alike, states, level) == pytest.approx(0.8, abs=0.02 + 0.016)
    assert power(states, gain, base, seeds, alike, level) >= 0.8


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_more_seeds_never_ask_for_more_states(alike):
    needed = [states_needed(0.05, 0.8, seeds, alike) for seeds in (1, 3, 5)]
    assert needed == sorted(needed, reverse=True)


def test_seeds_of_a_deterministic_policy_help_nothing():
    assert states_needed(0.05, 0.8, 1, 1.0) == states_needed(0.05, 0.8, 5, 1.0)


def test_the_smallest_difference_needs_about_the_states_there_are():
    gain = smallest_difference(500, 0.9, 1, 0.0, 0.0125)
    assert states_needed(gain, 0.9, 1, 0.0, 0.0125) == pytest.approx(500, rel=0.05)


def test_too_few_states_show_nothing():
    assert smallest_difference(3, 0.9, 1, 0.0) is None


def test_tasks_of_unequal_size_are_worth_fewer_states():
    assert kish([0.5, 0.5], [50, 50]) == pytest.approx(100)
    assert kish([0.5, 0.5], [90, 10]) < 50


def test_columns_are_the_tables_with_states_and_looks():
    scenes = [("simpler-vm", "move_near", appearance, state) for appearance in ("a", "b") for state in range(60)]
    (column,) = column_plans(layouts.get("nora15/table1"), scenes, seeds=3)
    assert (column.name, column.states, column.repeats, column.available) == ("VM Move Near", pytest.approx(60), 6, 60)


def test_likeness_is_found_from_repeated_states():
    rng = np.random.default_rng(3)
    for alike in (0.0, 0.4, 1.0):
        tasks = [[(int(k), 4) for k in play(rng, 0.6, 300, 4, alike)] for _ in range(10)]
        assert likeness(tasks) == pytest.approx(alike, abs=0.05)
    assert likeness([[(1, 1), (0, 1)]] * 10) is None


def test_the_command_says_what_is_needed_and_what_the_benchmark_can_show(cli):
    said = json.loads(cli("plan", "--suite", "libero_goal", "--detect", "5", "--seeds", "1,3", "--json").out)
    (column,) = said["columns"]
    assert (column["column"], column["available"]) == ("Goal", 500)
    one, three = column["seeds"]
    assert one["states"] > three["states"]
    assert three["smallest"] < 5 or three["states"] > 500


def test_a_pilot_run_gives_rates_with_their_own_uncertainty(cli, run, libero):
    folder = run("pilot", libero(suites=("libero_goal",), failures=10)).folder
    said = json.loads(cli("plan", "--suite", "libero_goal", "--from", folder, "--seeds", "1", "--json").out)
    (column,) = said["columns"]
    low, high = column["seeds"][0]["states_range"]
    assert column["base"] == pytest.approx(0.8)
    assert low < column["seeds"][0]["states"] < high


@pytest.mark.parametrize("seeds", ["0", "1,0", "", "x"])
def test_plan_rejects_numbers_of_seeds_below_one(cli, seeds):
    ended = cli("plan", "--suite", "libero_goal", "--seeds", seeds)
    assert (ended.code, ended.out) == (2, "")
    assert "--seeds" in ended.err and "expected" in ended.err


def test_a_pilot_of_another_suite_is_refused(cli, run, libero):
    folder = run("pilot", libero(suites=("libero_10",))).folder
    ended = cli("plan", "--suite", "simpler-vm", "--from", folder)
    assert (ended.code, ended.out) == (2, "")
