import json

import numpy as np
import pytest
from nora_bench.policies.nora.action_stats import Statistics
from nora_bench.training.data.dataset import bounds_of, measure, normalise, openings, write_statistics
from nora_bench.training.data.demonstrations import DataError

EPISODE = np.column_stack([np.tile(np.linspace(-1, 1, 1001)[:, None], 6) * [1, 2, 3, 4, 5, 0], np.ones(1001)])
"""Six numbers spread evenly over different ranges, the last of them not at all; gripper open."""


def test_the_grippers_command_becomes_its_opening():
    assert openings(np.array([[0.0, -1.0], [0.0, 1.0], [0.0, 0.25]]))[:, 1].tolist() == [1.0, 0.0, 0.75]


def test_quantiles_cut_one_percent_at_either_end():
    stats = bounds_of(measure([EPISODE]))
    assert stats.low[:2] == pytest.approx([-0.98, -1.96])
    assert stats.high[:2] == pytest.approx([0.98, 1.96])


def test_extremes_take_the_whole_range():
    assert bounds_of(measure([EPISODE]), "extremes").high[:3].tolist() == [1, 2, 3]


def test_normalising_and_back_gives_the_actions_within_the_bounds():
    stats = bounds_of(measure([EPISODE]), "extremes")
    moving = EPISODE[:, [0, 1, 2, 3, 4, 6]]
    assert stats.unnormalise(normalise(EPISODE, stats))[:, [0, 1, 2, 3, 4, 6]] == pytest.approx(moving)


def test_values_beyond_the_bounds_are_clipped_only_on_request():
    stats = bounds_of(measure([EPISODE]))
    assert np.abs(normalise(EPISODE, stats)[:, :5]).max() == 1.0
    assert np.abs(normalise(EPISODE, stats, clip=False)[:, :5]).max() == pytest.approx(1 / 0.98)


def test_constant_component_normalises_to_zero():
    assert (normalise(EPISODE, bounds_of(measure([EPISODE])))[:, 5] == 0.0).all()


def test_floor_limits_the_scale_of_small_ranges():
    stats = bounds_of(measure([EPISODE]), floor=0.02)
    assert (stats.high[5], stats.low[5]) == (0.02, -0.02)


def test_the_gripper_is_not_scaled():
    assert (normalise(EPISODE, bounds_of(measure([EPISODE])))[:, 6] == 1.0).all()


def test_a_policy_reads_what_is_written(tmp_path):
    measured = {"libero_object": measure([EPISODE])}
    used = bounds_of(measured["libero_object"], floor=0.02)
    write_statistics(tmp_path / "norm_stats.json", measured, {"libero_object": used})
    read = Statistics(json.loads((tmp_path / "norm_stats.json").read_text()), None).of("libero_object")
    for name in ("low", "high", "mask"):
        assert np.array_equal(getattr(read, name), getattr(used, name))


def test_no_actions_have_no_statistics():
    with pytest.raises(DataError, match="no actions"):
        measure([])
