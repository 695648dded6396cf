"""Axes and levels: names in keys, the command line's grammar, and the data."""

import pytest
from nora_bench.envs.base import EpisodeSpec
from nora_bench.envs.errors import InputError
from nora_bench.envs.perturbations import axes

CONTROL = EpisodeSpec("libero_goal", 3, 12, 0, "libero/openvla")


def test_perturbation_stands_behind_the_seed_in_the_key():
    spec = EpisodeSpec("libero_goal", 3, 12, 0, "libero/openvla", perturbation="latency-100ms")
    assert spec.key == "libero_goal/task3/init12/seed0+latency-100ms@libero/openvla"


def test_control_is_the_episode_without_its_perturbation():
    spec = EpisodeSpec("libero_goal", 3, 12, 0, "libero/openvla", perturbation="latency-100ms")
    assert spec.control == CONTROL
    assert spec.control.key == "libero_goal/task3/init12/seed0@libero/openvla"


def test_perturbed_episode_draws_the_random_numbers_of_its_control():
    spec = EpisodeSpec("libero_goal", 3, 12, 0, "libero/openvla", perturbation="latency-100ms")
    assert spec.env_seed == CONTROL.env_seed
    assert spec.entropy("policy", decision=2).entropy == CONTROL.entropy("policy", decision=2).entropy


@pytest.mark.parametrize(
    ("text", "name"),
    [("latency:100ms", "latency-100ms"), ("latency:measured-hold", "latency-measured-hold"), ("latency-100ms", "latency-100ms")],
)
def test_option_and_stored_name_give_the_same_perturbation(text, name):
    assert axes.parse([text]) == (name,)
    assert axes.get(name).name == name


def test_every_level_is_found_by_its_name():
    for axis in axes.axes().values():
        for level in axis.levels:
            perturbation = axis.at(level)
            assert axes.get(perturbation.name) == perturbation


@pytest.mark.parametrize("text", ["", "latency", "latency:", "latency:fast", "latency:-1ms", "lightning:1", "latency:0", "1-3"])
def test_unknown_axis_or_level_is_rejected(text):
    with pytest.raises(ValueError, match=r"expected|axis"):
        axes.parse([text])


@pytest.mark.parametrize("name", ["", "latency", "latency100ms", "nothing3", "+latency-100ms"])
def test_unknown_stored_name_is_bad_input(name):
    with pytest.raises(InputError):
        axes.get(name)


@pytest.mark.parametrize("text", ["camera:3-1", "all:1", "camera:4", "latency:-5ms", "latency:100000ms", "latency:١ms"])
def test_rejected_level_says_what_is_expected(text):
    with pytest.raises(ValueError, match=r"camera:|1-3|1, 2, 3|99999ms") as caught:
        axes.parse([text])
    assert "did you mean all" not in str(caught.value)


def test_perturbation_has_one_name_in_keys():
    assert axes.parse(["camera:1", "camera1", "camera"]) == ("camera1", "camera2", "camera3")
    with pytest.raises(InputError):
        axes.get("camera-1")
