"""Stand-ins for SimplerEnv: the same bytes everywhere, upstream's sizes and masses."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from nora_bench.envs.packs import fingerprint
from nora_bench.envs.simpler.assets.required_files import ROBOT, missing_files
from nora_bench.envs.simpler.assets.standin.formatting import physics
from nora_bench.envs.simpler.assets.standin.rooms import TABLE_X, TABLE_Y, table_top
from nora_bench.envs.simpler.grid import configurations

PACK = "a5a51b27092cb148"
"""Raise `STANDIN.version` when this changes: results on other stand-ins must not be compared."""
MASS, SIZE = 0.03, 0.004
SPOON_MASS, SPOON_SIZE = 0.25, 0.009
"""By which share masses may differ, and by how many metres bounds; the spoon is only ever a distractor."""


def test_pack_is_the_same_bytes_on_every_machine(simpler_standin):
    assert fingerprint(simpler_standin) == PACK


def test_pack_contains_all_files_of_the_grid(simpler_standin):
    assert missing_files(simpler_standin) == []


def test_urdf_has_upstreams_joints_and_limits(simpler_standin):
    root = ET.parse(simpler_standin / f"{ROBOT}.urdf").getroot()
    joints = {joint.get("name"): joint for joint in root.iter("joint")}
    assert len(joints) == 36
    tcp = joints["gripper_tcp_joint"].find("origin").get("xyz")
    assert tcp == "0.0043374896 0.0018852949 0.16353297"
    limit = joints["joint_torso"].find("limit")
    assert (limit.get("lower"), limit.get("upper")) == ("-4.49", "1.35")


@pytest.fixture(scope="module")
def scenes(simpler_standin):
    pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")
    from nora_bench.envs.simpler.sim.scene import SimplerScene
    from nora_bench.envs.simpler.sim.solver import CONTROL_SOLVER

    def build(task, pack=simpler_standin):
        return SimplerScene(pack, next(c for c in configurations() if c.task == task), CONTROL_SOLVER)

    return build


@pytest.mark.parametrize("model", sorted(physics()["objects"]))
def test_object_has_upstreams_size_and_mass(scenes, model):
    numbers = physics()["objects"][model]
    body = scenes("pick_coke_can").add_object(model, task_object=True)
    share, metres = (SPOON_MASS, SPOON_SIZE) if "spoon" in model else (MASS, SIZE)
    assert body.mass == pytest.approx(numbers["volume"] * numbers["density"], rel=share)
    points = np.concatenate([shape.vertices for shape in body.collision_shapes])
    assert np.abs(np.array([points.min(0), points.max(0)]) - numbers["bounds"]).max() < metres


def test_drawers_weigh_what_upstreams_weigh(scenes):
    masses = [link.mass for link in scenes("open_drawer").cabinet.body.links]
    assert masses == pytest.approx([38.0845, 11.3765, 11.3765, 11.3765], abs=1e-3)


@pytest.mark.official
def test_robot_moves_like_the_official_one(scenes, simpler_official):
    """Seven seconds of random motion: the same joint positions, but for the fingers, whose shapes are their own."""
    from nora_bench.envs.simpler.sim.controllers import Controller
    from nora_bench.envs.simpler.sim.robot import FINGERS, START

    ends = []
    for scene in (scenes("open_drawer"), scenes("open_drawer", simpler_official)):
        robot, rng = scene.add_robot(), np.random.default_rng(0)
        robot.place(scene.configuration.robot_init[0], np.array(START))
        controller = Controller(robot)
        for _ in range(20):
            scene.step(controller.plan(np.append(rng.normal(0, (0.05,) * 3 + (0.2,) * 3), 0.0)))
        ends.append(robot.qpos())
    arm = np.delete(np.abs(ends[0] - ends[1]), FINGERS)
    assert arm.max() < 2e-3


def test_can_stands_on_the_table_at_upstreams_height(simpler_standin):
    pytest.importorskip("sapien", reason="pip install 'nora-bench[simpler]'")
    from nora_bench.envs.simpler.grid import find
    from nora_bench.envs.simpler.sim.settling import ObjectSettler

    settled = ObjectSettler(simpler_standin).settle(find("pick_coke_can", "visual_matching", "urdf_base/standing").episode(0))
    assert settled.poses[0].p[2] == pytest.approx(0.9565, abs=5e-4)


def test_table_top_is_upstreams_plane():
    assert table_top(0.0) == 0.8875993
    assert (TABLE_X, TABLE_Y) == ((-0.7244, -0.0220), (-0.0982, 0.5175))
