"""Perturbed episodes against their controls: pairing, statistics, controls of other runs."""

from dataclasses import replace

import pytest
from nora_bench.results.comparisons.robustness import axis_of, column_names, robustness
from nora_bench.results.comparisons.sample_size import paired_power, smallest_paired_difference
from nora_bench.results.conditions import Incomparable

GOAL = {"suites": ("libero_goal",), "tasks": 10, "inits": 5}


def perturbed(records, name, *, fails=0):
    """The records under a perturbation; those of the first `fails` initial states fail."""
    return [
        replace(record, perturbation=name, key=f"{record.key}+{name}", success=record.success and record.init_state >= fails)
        for record in records
    ]


def test_effect_is_the_difference_to_the_controls_of_the_same_scenes(run, libero):
    plain = libero(**GOAL)
    (found,) = robustness(run("mine", plain + perturbed(plain, "camera2", fails=1)))
    (effect,) = found.effects
    assert effect.difference.mean == pytest.approx(-0.2)
    assert effect.difference.scenes == 50
    assert effect.p == pytest.approx(2 / 2**10)  # ten initial states lost, none gained
    assert (found.control.low.mean, effect.perturbed.low.mean) == (1.0, pytest.approx(0.8))


def test_tasks_weigh_equally(run, libero, record):
    plain = [record(task=0, init=init) for init in range(9)] + [record(task=1, init=0)]
    worse = [replace(one, perturbation="camera1", key=f"{one.key}+", success=one.task_id == 0) for one in plain]
    (found,) = robustness(run("mine", plain + worse))
    assert found.effects[0].difference.mean == pytest.approx(-0.5)


def test_levels_of_an_axis_share_a_column_unless_asked_for(run, libero):
    plain = libero(**GOAL)
    mine = run("mine", plain + perturbed(plain, "latency-50ms") + perturbed(plain, "latency-100ms", fails=1))
    assert column_names([mine], levels=False) == ["latency"]
    assert column_names([mine], levels=True) == ["latency-50ms", "latency-100ms"]
    (pooled,), (apart,) = robustness(mine), robustness(mine, levels=True)
    assert [effect.difference.mean for effect in pooled.effects] == [pytest.approx(-0.1)]
    assert [effect.difference.mean for effect in apart.effects] == [0.0, pytest.approx(-0.2)]


def test_p_is_corrected_over_the_columns_of_a_policy(run, libero):
    plain = libero(**GOAL)
    alone = run("alone", plain + perturbed(plain, "latency-50ms", fails=1))
    both = run("both", plain + perturbed(plain, "latency-50ms", fails=1) + perturbed(plain, "latency-100ms"))
    (single,), (pair,) = robustness(alone, levels=True), robustness(both, levels=True)
    assert pair.effect("latency-50ms").p == pytest.approx(2 * single.effect("latency-50ms").p)


def test_uncertain_episodes_leave_both_bounds(run, libero):
    plain = libero(**GOAL)
    late = perturbed(plain, "latency-50ms")
    late[0] = replace(late[0], success=None, termination="error", error="step: exploded")
    (found,) = robustness(run("mine", plain + late))
    assert found.effects[0].difference.means == (pytest.approx(-0.02), 0.0)
    assert found.effects[0].perturbed.uncertain == 1


def test_episodes_without_a_control_are_left_out_and_counted(run, libero):
    plain = libero(**GOAL)
    mine = run("mine", [one for one in plain if one.init_state] + perturbed(plain, "camera1", fails=1))
    (found,) = robustness(mine)
    (effect,) = found.effects
    assert (effect.episodes, effect.alone) == (40, 10)
    assert effect.difference.mean == 0.0  # all of the failures have no control


def test_control_has_the_same_seed(run, libero):
    plain = libero(**GOAL, seeds=2)
    (found,) = robustness(run("mine", [one for one in plain if one.seed == 0] + perturbed(plain, "camera1")))
    assert found.effects[0].alone == 50


def test_controls_may_be_in_another_run(run, libero):
    plain = libero(**GOAL)
    mine, other = run("mine", perturbed(plain, "camera1", fails=1)), run("other", plain)
    (without,) = robustness(mine)
    (found,) = robustness(mine, [other])
    assert without.effects == () and without.alone == {"camera": 50}
    assert found.sources == ("other",)
    assert found.effects[0].difference.mean == pytest.approx(-0.2)


def test_controls_of_the_configured_run_are_found_beside_the_run(run, libero):
    plain = libero(**GOAL)
    run("other", plain)
    (found,) = robustness(run("mine", perturbed(plain, "camera1"), config={"control": "runs/other"}))
    assert found.sources == ("other",)


def test_controls_under_other_conditions_are_refused(run, libero):
    plain = libero(**GOAL)
    mine = run("mine", perturbed(plain, "camera1"), config={"max_steps": 50})
    with pytest.raises(Incomparable, match="max steps"):
        robustness(mine, [run("other", plain)])


def test_controls_of_other_weights_are_refused(run, libero):
    plain = libero(**GOAL)
    mine = run("mine", perturbed(plain, "camera1"), policy={"name": "nora", "fingerprint": {"weights": "a"}})
    other = run("other", plain, policy={"name": "nora", "fingerprint": {"weights": "b"}})
    with pytest.raises(Incomparable, match="weights"):
        robustness(mine, [other])
    assert robustness(mine, [other], anyway=True)[0].effects


def test_controls_of_another_asset_pack_are_none(run, libero):
    plain = libero(**GOAL)
    other = [replace(one, assets={"pack": "standin", "fingerprint": "f"}) for one in plain]
    (found,) = robustness(run("mine", other + perturbed(plain, "camera1")))
    assert found.effects == ()


def test_200_pairs_detect_8_points():
    assert paired_power(200, 0.08, discordant=0.15) >= 0.8
    assert smallest_paired_difference(200, discordant=0.15) == pytest.approx(0.08, abs=0.0005)
    assert smallest_paired_difference(5) is None


@pytest.mark.parametrize(
    ("name", "column"), [("language-lexical", "language"), ("language-none", "language-none"), ("camera2", "camera")]
)
def test_instructions_that_do_not_say_what_to_do_have_columns_of_their_own(name, column):
    assert axis_of(name) == column
