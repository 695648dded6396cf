import json

import numpy as np
import pytest
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.nora.action_stats import Statistics, published
from nora_bench.policies.nora.action_stats_files import own_statistics
from nora_bench.policies.nora.action_stats_names import statistics_key

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
        ("simpler-widowx", "bridge_orig"),
    ],
)
def test_suite_uses_the_statistics_of_its_data(suite, key):
    assert Statistics({}, None).key(suite) == key


def test_statistics_are_selected_by_name():
    assert Statistics({}, "libero_object_min").key("libero_object") == "libero_object_min"


def test_own_statistics_take_precedence():
    assert Statistics({"libero_goal": MINE}, None).of("libero_goal").high.tolist() == [2.0] * 7


def test_statistics_without_noops_match_their_suite():
    published_name = Statistics({}, None)
    del published_name.known["libero_goal"]
    published_name.known["libero_goal_no_noops"] = MINE
    assert published_name.key("libero_goal") == "libero_goal_no_noops"


def test_data_set_name_with_version_matches():
    known = ["bridge_orig/1.0.0", "fractal20220817_data/0.1.0"]
    assert statistics_key("simpler-vm", known, None) == "fractal20220817_data/0.1.0"
    assert statistics_key("simpler-vm", known, "bridge_orig") == "bridge_orig/1.0.0"


def test_unknown_statistics_name_lists_the_known_ones():
    with pytest.raises(PolicyError, match=r"'libero_gaol'.*libero_goal"):
        Statistics({}, "libero_gaol").of("libero_goal")


@pytest.mark.parametrize("broken", [{"action": {"q01": [0.0]}}, {"action": {"q01": [0.0], "q99": [1.0, 2.0]}}, {"action": 3}, []])
def test_broken_statistics_are_rejected_by_name(broken):
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


def numbers(high, **others):
    """An action's statistics whose x reaches so far."""
    return {"q01": [-high] * 6 + [0.0], "q99": [high] * 6 + [1.0], "mask": [True] * 6 + [False], **others}


OWN = numbers(0.01)


@pytest.mark.parametrize(
    "suite, name",
    [
        ("libero_object", "libero_object_no_noops"),
        ("libero_object", "LIBERO_Object"),
        ("libero_object", "libero_object_no_noops/1.0.0"),
        ("libero_object", "IPEC-COMMUNITY/libero_object_no_noops_1.0.0_lerobot"),
        ("libero_10", "libero_long"),
        ("libero_10", "libero10_no_noops"),
        ("libero_object", "libero_4_task_suites_no_noops"),
        ("libero_object", "libero_all4_no_noops"),
        ("libero_goal", "libero"),
        ("libero_goal", "physical-intelligence/libero"),
        ("libero_goal", "libero_spatial_object_goal_10_no_noops"),
        ("libero_90", "libero_100"),
        ("simpler-vm", "fractal20220817_data"),
        ("simpler-vm", "fractal20220817_data/0.1.0"),
        ("google_coke", "fractal"),
        ("widowx_carrot", "bridge_orig/1.0.0"),
        ("simpler-widowx", "bridge_dataset"),
    ],
)
def test_own_statistics_take_precedence_under_every_name_of_the_data(suite, name):
    found = Statistics({name: {"action": OWN}}, None)
    assert (found.key(suite), found.chosen(suite).source, found.of(suite).high[0]) == (name, "norm_stats", 0.01)


@pytest.mark.parametrize(
    "own",
    [
        {"norm_stats": {"actions": OWN, "state": numbers(5.0)}},
        {"norm_stats": {"libero_object": {"action": OWN}}},
        {"action": OWN, "observation.state": numbers(5.0)},
        {"action": OWN},
        OWN,
        {"libero_object": OWN},
        {"libero_object": {"actions": OWN, "state": numbers(5.0)}},
    ],
    ids=["openpi", "configuration", "lerobot", "bare", "barer", "entry", "openpi-by-name"],
)
def test_own_statistics_take_precedence_in_every_layout(own):
    assert Statistics(own, None).of("libero_object").high[0] == 0.01


@pytest.mark.parametrize(
    "suite, names",
    [
        ("libero_object", ["libero_goal_no_noops"]),
        ("libero_object", ["libero_object_joint_angles"]),
        ("libero_object", ["bridge_orig", "fractal20220817_data"]),
        ("libero_90", ["libero_4_task_suites_no_noops"]),
        ("widowx_carrot", ["fractal20220817_data"]),
        ("my_suite", ["libero_object"]),
    ],
)
def test_checkpoint_without_matching_statistics_lists_its_own(suite, names):
    with pytest.raises(PolicyError, match=f"{names[0]}.*--policy-arg statistics=NAME"):
        Statistics({name: {"action": OWN} for name in names}, None).of(suite)


def test_suite_name_takes_precedence_over_other_data():
    own = {"libero": {"action": numbers(3.0)}, "libero_goal_no_noops": {"action": OWN}}
    assert Statistics(own, None).key("libero_goal") == "libero_goal_no_noops"


def test_differing_statistics_of_the_same_data_are_rejected():
    same = {"libero_all": {"action": OWN}, "libero": {"action": OWN}}
    assert Statistics(same, None).of("libero_goal").high[0] == 0.01
    with pytest.raises(PolicyError, match="libero_all, libero"):
        Statistics({**same, "libero": {"action": numbers(3.0)}}, None).of("libero_goal")


@pytest.mark.parametrize(
    "wanted, source, name",
    [
        ("libero_object_min", "published", "libero_object_min"),
        ("published", "published", "libero_object"),
        ("mine", "norm_stats", "mine"),
    ],
)
def test_option_selects_among_own_and_published_statistics(wanted, source, name):
    chosen = Statistics({"mine": {"action": OWN}}, wanted).chosen("libero_object")
    assert (chosen.name, chosen.source, chosen.by) == (name, source, "option")


def test_recorded_facts_distinguish_other_numbers():
    facts = [
        Statistics({"libero": {"action": numbers(high, std=[1.0])}}, None).chosen("libero_goal").facts()
        for high in (1.0, 1.0, 2.0)
    ]
    assert facts[0] == facts[1] and facts[0]["sha256"] != facts[2]["sha256"]
    assert (facts[0]["name"], facts[0]["source"], facts[0]["by"], facts[0]["numbers"]) == (
        "libero",
        "norm_stats",
        "suite",
        "q01/q99",
    )


BOUNDED = {"min": [-2.0] * 7, "max": [2.0] * 7, "mask": [True] * 7}


def test_minimum_and_maximum_replace_missing_quantiles():
    found = Statistics({"action": BOUNDED}, None)
    assert found.of("libero_goal").high[0] == 2.0 and found.chosen("libero_goal").facts()["numbers"] == "min/max"


@pytest.mark.parametrize(
    "entry, complaint",
    [
        ({"mean": [0.0] * 7, "std": [1.0] * 7, "mask": [True] * 7}, "mean and std"),
        ({**BOUNDED, "q01": [0.0] * 7}, "are not q01, q99"),
        ({"min": [0.0] * 7, "mask": [True] * 7}, "are not q01, q99"),
        ({"q01": [1.0] * 7, "q99": [0.0] * 7, "mask": [True] * 7}, "above"),
        ({"q01": [0.0] * 7, "q99": [1.0] * 7, "mask": [1.0] * 7}, "mask"),
        ({"q01": [0.0] * 7, "q99": [1.0] * 7}, "scaled_gripper"),
    ],
    ids=["mean-std", "half-quantiles", "half-range", "inverted", "mask-of-numbers", "no-mask"],
)
def test_incomplete_statistics_are_rejected(entry, complaint):
    with pytest.raises(PolicyError, match=complaint):
        Statistics({"libero_goal": {"action": entry}}, None).of("libero_goal")


@pytest.mark.parametrize("scaled", [True, False])
def test_option_replaces_a_missing_gripper_mask(scaled):
    own = {"action": {"q01": [0.0] * 7, "q99": [1.0] * 7}}
    assert Statistics(own, None, scaled_gripper=scaled).of("libero_goal").mask.tolist() == [True] * 6 + [scaled]


def written(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return own_statistics(folder, {"norm_stats": {"base": {"action": numbers(9.0)}}})


@pytest.mark.parametrize(
    "files, source",
    [
        (
            {"dataset_statistics.json": {"libero_goal": {"action": OWN}}, "norm_stats.json": {"base": {}}},
            "dataset_statistics.json",
        ),
        ({"norm_stats.json": {"libero_goal": {"action": OWN}}}, "norm_stats.json"),
        ({"stats.json": {"action": OWN, "observation.state": numbers(5.0)}}, "stats.json"),
        ({"meta/stats.json": {"action": OWN}}, "meta/stats.json"),
        ({"assets/me/libero/norm_stats.json": {"norm_stats": {"actions": OWN}}}, "assets/me/libero/norm_stats.json"),
    ],
)
def test_statistics_file_takes_precedence_over_the_configuration(tmp_path, files, source):
    own = written(tmp_path, files)
    assert own.source == source
    assert Statistics(own.table, None, source=own.source).of("libero_goal").high[0] == 0.01


def test_statistics_are_read_from_the_configuration_without_a_file(tmp_path):
    own = written(tmp_path, {})
    assert (list(own.table), own.source) == (["base"], "config.json")


def test_invalid_statistics_file_is_rejected(tmp_path):
    (tmp_path / "stats.json").write_text("[")
    with pytest.raises(PolicyError, match=r"stats\.json"):
        own_statistics(tmp_path, {})
