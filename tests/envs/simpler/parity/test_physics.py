"""Recordings of upstream's engine, replayed in ours."""

import json

import numpy as np
import pytest

pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.simpler import recordings
from nora_bench.envs.simpler.grid import find
from nora_bench.envs.simpler.parity import physics
from nora_bench.envs.simpler.parity.physics import RecordingReplay
from nora_bench.envs.simpler.sim.bodies import build_object, database
from nora_bench.envs.simpler.sim.scene import SimplerScene
from nora_bench.envs.simpler.sim.solver import CONTROL_SOLVER
from sapien.physx import PhysxRigidDynamicComponent


@pytest.fixture(scope="module")
def properties(simpler_golden):
    return json.loads((simpler_golden / "physical_properties.json").read_text())


def failed(checks):
    checks = list(checks)
    assert checks
    return [check for check in checks if not check.passed]


def test_recorded_kinematics_and_plans_are_reproduced(simpler_golden, simpler_official):
    assert failed(physics.compare_controllers(simpler_golden / "controller_cases.npz", simpler_official)) == []


def test_stand_ins_have_upstreams_kinematics(simpler_golden, simpler_standin):
    assert failed(physics.compare_controllers(simpler_golden / "controller_cases.npz", simpler_standin)) == []


def test_objects_rest_at_the_recorded_poses(simpler_golden, simpler_official):
    assert failed(physics.compare_settling(simpler_golden / "settled_poses.json", simpler_official)) == []


@pytest.mark.parametrize(
    "name",
    [
        "pick_coke_can__va_camera1_darker_standing_random",
        "close_drawer__vm_bottom_a0_random",
        "move_near__vm_v0_ep22_random",
    ],
)
def test_recorded_episode_is_reproduced(simpler_golden, simpler_official, name):
    assert failed(RecordingReplay(recordings.read(simpler_golden / name), simpler_official).checks()) == []


@pytest.mark.slow
def test_all_recordings_pass(simpler_golden, simpler_official):
    assert failed(physics.compare(simpler_golden, simpler_official)) == []


def test_recording_of_another_robot_fails(simpler_golden, simpler_official):
    recording = recordings.read(simpler_golden / "pick_coke_can__va_camera1_darker_standing_random")
    recording.arrays["qpos"][3:, 0] += 1e-3
    wrong = failed(RecordingReplay(recording, simpler_official).checks())
    assert [check.quantity for check in wrong] == ["free motion: joints (rad)"]


def test_objects_have_the_masses_that_upstreams_engine_computed(properties, simpler_official):
    scene = SimplerScene(simpler_official, find("pick_coke_can", "visual_matching", "urdf_base/standing"), CONTROL_SOLVER)
    known = database(simpler_official)
    density = {name: 200.0 for name in known if name.removeprefix("baked_").removesuffix("_v2") in ("apple", "orange")}
    for name in properties["objects"].keys() & known.keys():
        entity = build_object(scene.scene, simpler_official, name, density=density.get(name))
        body = entity.find_component_by_type(PhysxRigidDynamicComponent)
        recorded = properties["objects"][name]
        assert body.mass == pytest.approx(recorded["mass"], rel=2e-5), name
        assert np.abs(body.cmass_local_pose.p - recorded["com_pose"][:3]).max() < 1e-6, name
        assert len(body.collision_shapes) == recorded["n_collision_shapes"], name


def test_robot_and_drawers_have_the_masses_that_upstreams_engine_computed(properties, simpler_official):
    scene = SimplerScene(simpler_official, find("open_drawer", "visual_matching", "urdf_base/top"), CONTROL_SOLVER)
    links = {**scene.add_robot().links, **scene.cabinet.links}
    for name, recorded in {**properties["robot_links"], **properties["cabinet_links"]}.items():
        assert links[name].mass == pytest.approx(recorded["mass"], rel=1e-6), name
        assert len(links[name].collision_shapes) == recorded["n_collision_shapes"], name
