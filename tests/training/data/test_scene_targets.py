"""Where things are in an image and in the world."""

from dataclasses import replace

import numpy as np
import pytest
from nora_bench.training.data.demonstrations import DataError
from nora_bench.training.data.scene_targets import CATEGORIES, camera_of, positions, targets

from ..made import made

LOOKING_DOWN = '<mujoco><worldbody><camera name="agentview" pos="0 0 2" quat="1 0 0 0" fovy="90"/></worldbody></mujoco>'


@pytest.fixture
def demonstration():
    """A made one with a milk carton that moves and a stove that stands."""
    plain = made(steps=6)
    states = np.zeros((6, 20))
    states[:, 1:4] = np.arange(6)[:, None] * [0.1, 0.0, 0.0]
    facts = {"columns": {"robot0_joint1": 0, "milk_1_joint0": 1}, "fixtures": {"flat_stove_1": [0.5, 0.5, 0.0, 1, 0, 0, 0]}}
    robot = np.zeros((6, 9))
    return replace(plain, states=states, robot_states=robot, facts=facts, suite="libero_object", task=TASK)


TASK = "pick_up_the_milk_and_place_it_in_the_basket"


def test_target_of_a_camera_is_in_the_middle():
    assert camera_of(LOOKING_DOWN).place(np.zeros(3)) == pytest.approx([0.5, 0.5])


def test_image_positions_are_rotated_as_in_the_protocols():
    """Seen from above with y up, a turn by 180 degrees of OpenGL's rows leaves rows upright and mirrors columns."""
    row, column = camera_of(LOOKING_DOWN).place(np.array([1.0, 0.5, 0.0]))
    assert (row, column) == pytest.approx((0.5 - 0.125, 0.5 - 0.25))


def test_model_without_the_camera_is_rejected():
    with pytest.raises(DataError, match="agentview"):
        camera_of("<mujoco/>")


def test_objects_are_free_joints_and_fixtures(demonstration):
    found = positions(demonstration)
    assert list(found) == ["milk_1", "flat_stove_1"]
    assert found["milk_1"][3] == pytest.approx([0.3, 0.0, 0.0])
    assert found["flat_stove_1"][5] == pytest.approx([0.5, 0.5, 0.0])


def test_every_object_has_its_category_and_position(demonstration):
    pytest.importorskip("libero", reason="no hf-libero: nora-bench doctor --fix")
    found = targets(demonstration, camera_of(LOOKING_DOWN))
    assert [CATEGORIES[kind] for kind in found.kinds[0, :3]] == ["hand", "milk", "flat_stove"]
    assert np.isfinite(found.places[:, :3]).all() and np.isnan(found.places[:, 3:]).all()


def test_facts_point_from_the_gripper_to_the_objects_of_interest(demonstration):
    pytest.importorskip("libero", reason="no hf-libero: nora-bench doctor --fix")
    found = targets(demonstration, camera_of(LOOKING_DOWN))
    assert found.facts.shape == (6, 10)
    assert found.facts[3, 4:7] == pytest.approx([1.5, 0.0, 0.0])
