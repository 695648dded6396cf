"""Analysis of the papers' findings on synthetic runs: with a known effect, and with none."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
from nora_bench.results.statistics.over_seeds import student
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.reproduce.experiments import ArmComparison, Finding
from nora_bench.training.reproduce.findings import (
    AccuracySeed,
    ArmSeed,
    ComparisonSummary,
    compare_accuracy,
    compare_arms,
    rate,
    read_arm,
)
from nora_bench.training.reproduce.findings_report import markdown, summarise

from ..made import evaluated

COMPARISON = ArmComparison("b - a", "a", "b", primary=True)


def simulated(effect, generator, *, seeds=6, states=16, between=0.03, suite="libero_object"):
    """Two arms whose true rates differ by `effect`, and by a random amount more in each seed."""
    arms = {}, {}
    for seed in range(seeds):
        true = effect + generator.normal(0, between)
        for arm, level in zip(arms, (0.55, 0.55 + true), strict=True):
            keys = [(suite, task, "fresh", 16 * seed + state) for task in range(10) for state in range(states)]
            arm[seed] = ArmSeed({key: float(value) for key, value in zip(keys, generator.random(len(keys)) < level, strict=True)})
    return arms


def test_known_effect_is_covered_and_found():
    generator = np.random.default_rng(1)
    found = [compare_arms(COMPARISON, *simulated(0.2, generator)) for _ in range(30)]
    assert np.mean([one.over.low <= 0.2 <= one.over.high for one in found]) > 0.85
    assert np.mean([one.verdict == "holds" for one in found]) > 0.95
    assert np.mean([one.over.mean for one in found]) == pytest.approx(0.2, abs=0.02)


def test_no_effect_is_declared_one_in_twenty_times_at_most():
    generator = np.random.default_rng(2)
    found = [compare_arms(COMPARISON, *simulated(0.0, generator)) for _ in range(60)]
    assert np.mean([one.verdict != "open" for one in found]) < 0.12


def test_swapped_arms_reverse_the_difference():
    a, b = simulated(0.2, np.random.default_rng(3))
    forward, backward = compare_arms(COMPARISON, a, b), compare_arms(COMPARISON, b, a)
    assert (forward.over.mean, forward.over.low) == pytest.approx((-backward.over.mean, -backward.over.high))
    assert backward.verdict == "reversed"


def test_power_follows_from_the_measured_variation():
    one = compare_arms(COMPARISON, *simulated(0.1, np.random.default_rng(4), states=100, between=0.0))
    noisy = compare_arms(COMPARISON, *simulated(0.1, np.random.default_rng(4), states=100, between=0.2))
    assert one.states == 1000 and one.power > 0.95 > 0.5 > noisy.power
    assert one.detectable < 0.08 < noisy.detectable


def test_errors_count_against_the_direction_of_the_difference():
    a, b = simulated(0.2, np.random.default_rng(5))
    key = next(key for key, value in b[0].outcomes.items() if value and not a[0].outcomes[key])
    spoiled = {**b, 0: ArmSeed({**b[0].outcomes, key: None})}
    found = compare_arms(COMPARISON, a, spoiled)
    assert found.errors == 1 and found.over.mean == pytest.approx(compare_arms(COMPARISON, a, b).over.mean - 1 / 160 / 6)


def test_only_common_states_count():
    a, b = simulated(0.2, np.random.default_rng(6))
    fewer = {seed: ArmSeed(dict([*arm.outcomes.items()][:40])) for seed, arm in a.items()}
    assert compare_arms(COMPARISON, fewer, b).states == 40
    with pytest.raises(TrainingError, match="no initial state in common"):
        compare_arms(COMPARISON, {s: ArmSeed({("libero_10", 0, "", 0): 1.0}) for s in b}, b)
    with pytest.raises(TrainingError, match="different seeds"):
        compare_arms(COMPARISON, {0: a[0]}, b)


def test_suites_weigh_equally():
    many = {("libero_object", task, "", state): 1.0 for task in range(10) for state in range(9)}
    assert rate(ArmSeed({**many, ("libero_10", 0, "", 0): 0.0})) == pytest.approx(0.5)


def test_accuracy_is_compared_with_chance_and_with_another():
    good = {seed: AccuracySeed(60 + seed, 100) for seed in range(6)}
    found = compare_accuracy(ArmComparison("x", 0.5, "b"), 0.5, good)
    assert found.over.mean == pytest.approx(0.125) and found.verdict == "holds" and found.power is None
    assert compare_accuracy(COMPARISON, good, good).over.p == 1.0
    assert compare_accuracy(COMPARISON, good, good).verdict == "open"


def test_reward_without_ordered_pairs_is_not_compared():
    some, none = {0: AccuracySeed(1, 2), 1: AccuracySeed(3, 4)}, {0: AccuracySeed(0, 0), 1: AccuracySeed(1, 1)}
    for a, b in ((0.5, none), (some, none), (none, some)):
        found = compare_accuracy(COMPARISON, a, b)
        assert (found.over, found.p, found.verdict) == (None, 1.0, "open") and found.problem


@pytest.mark.parametrize("outcomes", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_arms_without_variation_between_seeds_are_not_tested(outcomes):
    one, other = ({seed: ArmSeed({("libero_object", 0, "", seed): value}) for seed in range(2)} for value in outcomes)
    found = compare_arms(COMPARISON, one, other)
    assert found.over.mean == outcomes[1] - outcomes[0]
    assert (found.p, found.power, found.detectable, found.verdict) == (1.0, None, None, "open") and found.problem
    page = markdown("F1", Finding("x", (COMPARISON,)), summarise(Finding("x", (COMPARISON,)), {"a": one, "b": other}), {})
    assert "**open**" in page and "p = " not in page


def test_rounding_is_no_variation():
    over = student([0.1, 0.1 + 1e-16, 0.1])
    assert over.deviation > 0 and ComparisonSummary(COMPARISON, over, None, 1, 0.5, 0, None).problem


def test_secondary_comparisons_are_corrected_among_themselves():
    a, b = simulated(0.05, np.random.default_rng(7))
    finding = Finding("x", (ArmComparison("second", "a", "b"), COMPARISON, ArmComparison("third", "b", "a")))
    first, *rest = summarise(finding, {"a": a, "b": b})
    assert first.comparison.primary and first.corrected == first.over.p
    assert [one.corrected for one in rest] == pytest.approx([min(1.0, 2 * first.over.p)] * 2)
    page = markdown("F1", finding, [first, *rest], {"a": a, "b": b})
    assert "**b - a**" in page and f"p = {first.over.p:.2g}" in page


def test_run_is_read_with_its_malformed_answers_and_weights(tmp_path):
    outcomes = [("libero_object", state, success) for state, success in enumerate([True, False, None])]
    evaluated(tmp_path, outcomes, "abc", task_id=3, decisions=4, chunk_status={"ok": 3, "malformed": 1})
    arm = read_arm({0: tmp_path})[0]
    assert arm.outcomes == {("libero_object", 3, "fresh", i): value for i, value in enumerate([1.0, 0.0, None])}
    assert (arm.malformed, arm.weights) == (0.25, "abc")
