"""The success rule of the WidowX tasks on synthetic scenes, and on every recorded step."""

import numpy as np
import pytest
from nora_bench.envs.simpler import recordings
from nora_bench.envs.simpler.contacts import Contact, Snapshot
from nora_bench.envs.simpler.parity import rules as parity
from nora_bench.envs.simpler.widowx_grid import configurations
from nora_bench.envs.simpler.widowx_rules import WidowXRule
from nora_bench.envs.simpler.widowx_tasks import TASKS

LEVEL = (1.0, 0.0, 0.0, 0.0)
UP = np.array([0.0, 0.0, 1.0])
PUSH = np.array([0.0, 1e-3, 0.0])
OPENINGS = {"left_finger_link": np.array([0.0, 1.0, 0.0]), "right_finger_link": np.array([0.0, -1.0, 0.0])}


def scene(source, target=(0.0, 0.0, 0.9), contacts=()):
    places = np.array([source, target], float)
    poses = np.array([[*place, *LEVEL] for place in places])
    return Snapshot(poses, places, {}, contacts, OPENINGS)


def rule(task, source=(0.2, 0.0, 0.9)):
    setup = next(c for c in configurations() if c.task == task).episode(0)
    return WidowXRule(setup, scene(source))


@pytest.mark.parametrize(
    ("offset", "success"),
    [
        ((0.0, 0.0, 0.03), True),
        ((0.0236, 0.0, 0.03), True),
        ((0.0245, 0.0, 0.03), False),
        ((0, 0, 0.0501), False),
        ((0, 0, 0), False),
    ],
)
def test_cube_is_stacked_within_half_the_diagonal(offset, success):
    assert rule("stack_cube").step(scene(np.add((0.0, 0.0, 0.9), offset))) is success


def test_source_held_over_the_target_counts():
    contacts = [
        Contact("left_finger_link", "baked_green_cube_3cm", PUSH),
        Contact("baked_green_cube_3cm", "right_finger_link", PUSH),
    ]
    judge = rule("stack_cube")
    assert judge.step(scene((0.0, 0.0, 0.94), contacts=contacts))
    assert judge.facts()["is_src_obj_grasped"]


@pytest.mark.parametrize(("task", "success"), [("carrot_on_plate", False), ("spoon_on_towel", True)])
def test_source_that_touches_the_table_counts_for_the_towel_only(task, success):
    contacts = [Contact("arena", TASKS[task].source, PUSH)]
    assert rule(task).step(scene((0.03, 0.0, 0.91), contacts=contacts)) is success


def test_grasp_needs_both_fingers_along_their_opening():
    sideways = [Contact("left_finger_link", "eggplant", PUSH), Contact("right_finger_link", "eggplant", 1e-3 * UP)]
    judge = rule("eggplant_in_basket")
    judge.step(scene((0.2, 0.0, 1.0), contacts=sideways))
    assert not judge.facts()["is_src_obj_grasped"]


def test_grasp_of_five_steps_is_consecutive_and_stays_in_the_statistics():
    contacts = [Contact("left_finger_link", "eggplant", PUSH), Contact("right_finger_link", "eggplant", -PUSH)]
    judge = rule("eggplant_in_basket")
    for _ in range(5):
        judge.step(scene((0.2, 0.0, 1.0), contacts=contacts))
    judge.step(scene((0.2, 0.0, 1.0)))
    assert not judge.facts()["consecutive_grasp"]
    assert judge.statistics()["consecutive_grasp"]


def test_every_flag_of_every_recorded_step_is_reproduced(golden):
    folder = golden / "simpler_widowx"
    if not folder.is_dir():
        pytest.skip("no WidowX recordings: NORA_BENCH_GOLDEN names a folder without simpler_widowx/")
    stems = [stem for stem in recordings.stems(folder) if not stem.name.startswith("place_apple")]
    assert len(stems) == 32
    checks = [check for stem in stems for check in parity.compare_one(recordings.read(stem), {})]
    assert [check for check in checks if not check.passed] == []
