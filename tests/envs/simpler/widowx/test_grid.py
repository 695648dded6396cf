"""Layouts of the WidowX tasks are upstream's."""

import json

import pytest
from nora_bench.envs import suites
from nora_bench.envs.base import EpisodeSpec
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.simpler.placements import objects
from nora_bench.envs.simpler.setup import setup_of
from nora_bench.envs.simpler.widowx_grid import configurations
from nora_bench.envs.simpler.widowx_tasks import RECORDED_NAMES, TASKS, layout


def test_suite_has_four_tasks_of_24_episodes():
    suite = suites.get("simpler-widowx")
    assert [(task.id, task.name, task.init_states, task.variants) for task in suite.tasks] == [
        (0, "spoon_on_towel", 24, ()),
        (1, "carrot_on_plate", 24, ()),
        (2, "stack_cube", 24, ()),
        (3, "eggplant_in_basket", 24, ()),
    ]


@pytest.mark.parametrize(
    ("task", "episode", "source", "target"),
    [
        ("spoon_on_towel", 5, (-0.235, -0.075), (-0.085, 0.075)),
        ("stack_cube", 8, (-0.11, -0.05), (-0.11, 0.05)),
        ("stack_cube", 16, (-0.26, 0.10), (-0.06, -0.10)),
        ("eggplant_in_basket", 12, (-0.095, 0.191), (-0.125, 0.025)),
    ],
)
def test_layout_is_the_numbered_one(task, episode, source, target):
    place = layout(task, episode)
    assert (place.source_xy, place.target_xy) == (source, target)


def test_layouts_differ_and_repeat_beyond_the_last():
    for task in TASKS:
        assert len({layout(task, number) for number in range(24)}) == 24
        assert layout(task, 24) == layout(task, 0)


def test_eggplant_has_more_steps_under_simplers_protocol():
    steps = {c.task: c.max_episode_steps for c in configurations()}
    assert steps == {"spoon_on_towel": 60, "carrot_on_plate": 60, "stack_cube": 60, "eggplant_in_basket": 120}


def test_unknown_episode_is_rejected():
    with pytest.raises(SuiteError, match="simpler-widowx"):
        setup_of(EpisodeSpec("simpler-widowx", 0, 24, 0, "simpler/widowx"))


def test_objects_are_dropped_where_upstream_dropped_them(golden):
    path = golden / "simpler_widowx" / "settled_poses.json"
    if not path.is_file():
        pytest.skip("no WidowX recordings: NORA_BENCH_GOLDEN names a folder without simpler_widowx/")
    known = {configuration.task: configuration for configuration in configurations()}
    cases = [case for case in json.loads(path.read_text()) if case["task"] in RECORDED_NAMES]
    assert len(cases) == 64
    for case in cases:
        placed = objects(known[RECORDED_NAMES[case["task"]]].episode(case["episode_id"])).placements
        for placement, xy, quat in zip(placed, case["init_xys"], case["init_rot_quats"], strict=True):
            assert placement.xy == pytest.approx(xy, abs=1e-9)
            assert placement.quat == pytest.approx(quat, abs=1e-7)
