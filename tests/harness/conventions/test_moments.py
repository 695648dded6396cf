import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.harness.conventions.moments import HORIZON, padded, read_moments, write_moments
from nora_bench.harness.conventions.recording import moment_steps, spread
from nora_bench.harness.conventions.scoring import Scorer, trained_rows
from synthetic_moments import moments


def test_moments_are_read_as_written(tmp_path):
    written = moments(2, 2)
    write_moments(tmp_path / "moments.npz", written)
    for one, other in zip(read_moments(tmp_path / "moments.npz"), written, strict=True):
        np.testing.assert_array_equal(one.expert, other.expert)
        np.testing.assert_array_equal(one.observation.images["wrist"], other.observation.images["wrist"])
        np.testing.assert_array_equal(one.observation.proprio["eef_quat"], other.observation.proprio["eef_quat"])
        assert one.observation.spec == other.observation.spec
        assert one.observation.instruction == other.observation.instruction


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"nonsense"])
def test_other_files_are_rejected(content, tmp_path):
    path = tmp_path / "moments.npz"
    path.write_bytes(content)
    with pytest.raises((ValueError, KeyError)):
        read_moments(path)


def test_steps_include_one_before_each_change_of_the_gripper():
    actions = np.zeros((100, 7))
    actions[:, 6] = -1
    actions[43:, 6] = 1
    steps = moment_steps(actions, 6)
    assert steps == sorted(set(steps))
    assert len(steps) == 6
    assert any(0 < 43 - step < 10 for step in steps)
    assert max(steps) < 98


def plan(tasks=10, states=50):
    return [EpisodeSpec("libero_goal", task, state, 0, "libero/openvla") for task in range(tasks) for state in range(states)]


def test_spread_takes_few_tasks_and_different_states():
    chosen = spread(plan(), 8, 4)
    assert len({spec.key for spec in chosen}) == 8
    assert len({spec.task_id for spec in chosen}) == 4


def test_shifted_spread_has_other_episodes():
    assert not {spec.key for spec in spread(plan(), 8, 4)} & {spec.key for spec in spread(plan(), 4, 2, shift=8)}


def test_spread_of_a_small_plan_is_the_plan():
    assert {spec.key for spec in spread(plan(1, 3), 8, 4)} == {spec.key for spec in plan(1, 3)}


def scorer():
    seen = moments()
    return Scorer(np.stack([moment.expert for moment in seen]), [moment.observation.key for moment in seen])


def test_skill_is_one_for_the_experts_actions_and_none_for_other_moments():
    one = scorer()
    assert one.skill(one.expert).mean == pytest.approx(1.0)
    rolled = one.skill(np.roll(one.expert, 7, axis=0))
    assert rolled.low < 0.05


def test_unknown_rows_count_on_neither_side():
    one = scorer()
    wrong = one.expert.copy()
    wrong[:, 0] += 1.0
    unknown = wrong.copy()
    unknown[:, 0] = np.nan
    assert one.improvement(wrong, unknown).gain.mean == pytest.approx(0.0)
    assert one.improvement(wrong, unknown, shortens=True).gain.mean > 0.1


def test_numbers_that_the_expert_never_varies_are_not_compared():
    expert = np.stack(
        [padded(np.concatenate([np.random.default_rng(n).normal(size=(4, 6)), np.ones((4, 1))], axis=1)) for n in range(6)]
    )
    one = Scorer(expert, list("aabbcc"))
    assert not one.used[6]
    assert one.improvement(expert, -expert, slice(6, 7)).gain.mean == 0.0


def test_padded_chunk_is_cut_and_filled():
    assert padded(np.zeros((HORIZON + 3, 7))).shape == (HORIZON, 7)
    assert np.isnan(padded(np.zeros((2, 7)))[2:]).all()


def test_sudden_loss_of_skill_ends_the_trained_rows():
    assert trained_rows(np.array([0.8, 0.8, 0.8, 0.7, 0.2, 0.1, 0.2, np.nan])) == 4


def test_fading_skill_is_no_end_of_training():
    assert trained_rows(np.linspace(0.9, 0.1, 10)) is None
    assert trained_rows(np.full(10, 0.8)) is None


def test_skill_of_rows_tells_the_wrong_ones():
    one = scorer()
    answers = one.expert.copy()
    answers[:, 2:] = np.roll(answers[:, 2:], 7, axis=0)
    skills = one.row_skills(answers)
    assert skills[:2] == pytest.approx([1.0, 1.0])
    assert (skills[2:4] < 0.3).all()
    assert np.isnan(skills[4:]).all()
