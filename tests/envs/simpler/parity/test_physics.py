"""Recordings of upstream's engine, replayed in ours."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.parity import Check
from nora_bench.envs.simpler import recordings
from nora_bench.envs.simpler.grid import find
from nora_bench.envs.simpler.parity import physics
from nora_bench.envs.simpler.parity.physics import RecordingReplay
from nora_bench.envs.simpler.sim.bodies import build_object, database
from nora_bench.envs.simpler.sim.scene import SimplerScene
from nora_bench.envs.simpler.sim.solver import CONTROL_SOLVER
from sapien.physx import PhysxRigidDynamicComponent

QUICK = [
    "pick_coke_can__va_camera1_darker_standing_random",
    "close_drawer__vm_bottom_a0_random",
    "move_near__vm_v0_ep22_random",
]
"""Recordings that are replayed in seconds."""
OTHERS = [
    "close_drawer__va_darker_middle_random_contact",
    "close_drawer__vm_middle_b1_tabletop2_push",
    "close_drawer__vm_top_c1_base_push",
    "move_near__va_base_ep50_carry",
    "move_near__va_nodistractor_ep13_random_contact",
    "move_near__vm_v0_ep1_carry",
    "move_near__vm_v1_ep35_push",
    "open_drawer__va_station3_top_random_contact",
    "open_drawer__vm_bottom_c2_cabinet1_random",
    "open_drawer__vm_middle_a1_tabletop1_pull",
    "open_drawer__vm_top_b0_base_pull",
    "pick_coke_can__va_base_standing_random_contact",
    "pick_coke_can__va_distractor_less_horizontal_random",
    "pick_coke_can__vm_horizontal_base_grasp",
    "pick_coke_can__vm_standing_tabletop1_grasp",
    "pick_coke_can__vm_vertical_cabinet1_random",
    "pick_coke_can__vm_vertical_tabletop2_grasp_drop",
]


@pytest.fixture(scope="module")
def replay(simpler_golden, simpler_official):
    """Replays a recording by its name; each only once."""
    return cache(lambda name: RecordingReplay(recordings.read(simpler_golden / name), simpler_official))


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


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_recorded_episode_is_reproduced(replay, name):
    assert failed(replay(name).checks()) == []


@pytest.mark.slow
def test_replays_with_contact_end_as_recorded(replay):
    ends = [one.ends_equal for one in map(replay, QUICK + OTHERS) if one.has_contact]
    assert len(ends) == 6
    assert failed([physics.compare_ends(ends)]) == []


def test_every_recording_is_replayed(simpler_golden):
    assert sorted(QUICK + OTHERS) == [stem.name for stem in recordings.stems(simpler_golden)]


def test_compare_joins_the_checks_of_everything_recorded(simpler_golden, monkeypatch):
    class Replay:
        has_contact = ends_equal = True

        def __init__(self, recording, pack):
            self.name = recording.name

        def checks(self):
            yield Check(self.name, "replay", 0.0, 0.0)

    for part in ("compare_controllers", "compare_settling"):
        monkeypatch.setattr(physics, part, lambda path, pack: [Check(path.name, "", 0.0, 0.0)])
    monkeypatch.setattr(physics, "RecordingReplay", Replay)
    names = [check.case for check in physics.compare(simpler_golden, Path("pack"))]
    replays = sorted(QUICK + OTHERS)
    assert names == ["controller_cases.npz", "settled_poses.json", *replays, "grasp, carry and push replays"]


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
