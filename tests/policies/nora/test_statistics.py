import numpy as np
import pytest
from nora_bench.policies.base import PolicyError
from nora_bench.policies.nora.statistics import Statistics, published, statistics_key

MINE = {"action": {"q01": [0.0] * 7, "q99": [2.0] * 7, "mask": [True] * 7}}


@pytest.mark.parametrize(
    "suite, key",
    [
        ("libero_goal", "libero_goal"),
        ("libero_90", "libero_90"),
        ("widowx_carrot", "bridge_orig"),
        ("google_coke", "fractal20220817_data"),
        ("simpler-vm", "fractal20220817_data"),
        ("simpler-va", "fractal20220817_data"),
    ],
)
def test_a_suite_takes_the_statistics_of_its_data(suite, key):
    assert Statistics({}, None).key(suite) == key


def test_statistics_can_be_named():
    assert Statistics({}, "libero_object_min").key("libero_object") == "libero_object_min"


def test_a_checkpoints_own_statistics_win():
    assert Statistics({"libero_goal": MINE}, None).of("libero_goal").high.tolist() == [2.0] * 7


def test_statistics_without_no_ops_serve_their_suite():
    published_name = Statistics({}, None)
    del published_name.known["libero_goal"]
    published_name.known["libero_goal_no_noops"] = MINE
    assert published_name.key("libero_goal") == "libero_goal_no_noops"


def test_a_data_sets_version_may_follow_its_name():
    known = ["bridge_orig/1.0.0", "fractal20220817_data/0.1.0"]
    assert statistics_key("simpler-vm", known, None) == "fractal20220817_data/0.1.0"
    assert statistics_key("simpler-vm", known, "bridge_orig") == "bridge_orig/1.0.0"


def test_a_name_that_is_not_known_lists_those_that_are():
    with pytest.raises(PolicyError, match=r"'libero_gaol'.*libero_goal"):
        Statistics({}, "libero_gaol").of("libero_goal")


@pytest.mark.parametrize("broken", [{"action": {"q01": [0.0]}}, {"action": {"q01": [0.0], "q99": [1.0, 2.0]}}, {"action": 3}, []])
def test_broken_statistics_are_refused_by_name(broken):
    with pytest.raises(PolicyError, match="statistics mine"):
        Statistics({"mine": broken}, "mine").of("libero_goal")


@pytest.mark.parametrize("name", published())
def test_published_statistics_are_ranges_with_the_gripper_exempt(name):
    stats = Statistics({}, name).of(name)
    assert (stats.low < stats.high).all() and stats.mask.tolist() == [True] * 6 + [False]


def test_unnormalising_is_linear_between_the_bounds_and_leaves_the_gripper():
    stats = Statistics({}, "libero_spatial").of("libero_spatial")
    assert stats.unnormalise(np.r_[np.ones(6), 0.3])[:6] == pytest.approx(stats.high[:6])
    assert stats.unnormalise(np.r_[-np.ones(6), 0.3])[6] == 0.3
    assert stats.unnormalise(np.r_[-np.ones(6), 0.0], honour_mask=False)[6] == 0.5
