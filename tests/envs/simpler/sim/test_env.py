"""An episode is a pure function of its spec: a scene of its own, nothing of the episode before."""

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec, SimulationError
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.protocols import get
from nora_bench.envs.simpler.placements import Objects, Placement
from nora_bench.envs.simpler.sim.env import SapienEnv
from nora_bench.envs.simpler.sim.kinematics import as_pose
from nora_bench.envs.simpler.sim.robot import HEAD_TILT, JOINTS, START
from nora_bench.envs.simpler.sim.settling import SettledObjects, place_objects

BLIND = ObservationSpec()
CAN = EpisodeSpec("simpler-vm", 0, 3, 0, "simpler/nora-1.5", "urdf_base/standing")
MOVE = EpisodeSpec("simpler-vm", 1, 30, 0, "simpler/nora-1.5", "urdf_base")
CLOSE = EpisodeSpec("simpler-vm", 3, 3, 0, "simpler/nora-1.5", "urdf_base/middle")
APPLE = EpisodeSpec("simpler-vm-place", 4, 10, 0, "simpler/nora-1.5", "urdf_base/top")
CROWD = EpisodeSpec("simpler-va", 0, 3, 0, "simpler/nora-1.5", "distractor_less/vertical")


@pytest.fixture(scope="module")
def options(simpler_standin):
    return EnvOptions(assets=str(simpler_standin), gl="none", cache="")


@pytest.fixture(scope="module")
def env(options):
    return SapienEnv(options)


@pytest.fixture(scope="module")
def protocol():
    return get("simpler/nora-1.5")


def rollout(env, spec, protocol, observation_spec=BLIND, steps=2):
    """Digest of all states."""
    states = hashlib.sha256(env.reset(spec, protocol, observation_spec).states.tobytes())
    rng = np.random.default_rng(0)
    for _ in range(steps):
        env.step(np.append(rng.uniform(-0.05, 0.05, 6), 1.0), observe=True)
        states.update(env.state().tobytes())
    return states.hexdigest()


@pytest.mark.parametrize("spec", [CAN, MOVE, CLOSE, CROWD], ids=lambda spec: spec.variant)
def test_episode_is_independent_of_earlier_episodes(options, env, protocol, spec):
    alone = rollout(SapienEnv(options), spec, protocol)
    rollout(env, CLOSE if spec is not CLOSE else CAN, protocol)
    assert rollout(env, spec, protocol) == alone


def test_another_process_gives_the_same_states(options, env, protocol):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_env as t; from nora_bench.envs.protocols import get;"
        "o = t.EnvOptions(assets=sys.argv[2], gl='none', cache='');"
        "print(t.rollout(t.SapienEnv(o), t.CAN, get('simpler/nora-1.5')))"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", program, str(Path(__file__).parent), options.assets]
    other = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)
    assert other.stdout.split()[-1] == rollout(env, CAN, protocol)


def test_observing_changes_no_state(env, protocol):
    everything = ObservationSpec(proprio=True, privileged=True)
    assert rollout(env, CAN, protocol, everything) == rollout(env, CAN, protocol, BLIND)


def test_appearance_variant_does_not_change_the_physics(env, protocol):
    other = EpisodeSpec("simpler-vm", 0, 3, 0, "simpler/nora-1.5", "urdf_cabinet1/standing")
    assert rollout(env, other, protocol) == rollout(env, CAN, protocol)


def test_robot_starts_at_upstreams_pose(env, protocol):
    env.reset(CAN, protocol, ObservationSpec(proprio=True))
    told = env.observation().proprio
    assert told["joint_pos"] == pytest.approx(START)
    assert told["eef_pos"] == pytest.approx((0.439384, -0.218417, 0.961869), abs=2e-5)
    assert told["eef_quat"] == pytest.approx((0.160115, -0.603852, 0.780173, -0.032499), abs=2e-5)


def test_camera_variant_tilts_the_head(env, protocol):
    tilted = EpisodeSpec("simpler-va-camera", 0, 0, 0, "simpler/nora-1.5", "camera_1/standing")
    assert env.reset(tilted, protocol, BLIND).states[0, HEAD_TILT] == pytest.approx(0.9351361)


def test_drawer_to_close_starts_open(env, protocol):
    env.reset(CLOSE, protocol, ObservationSpec(privileged=True))
    assert env.observation().privileged["drawers"] == pytest.approx([0, 0.2, 0])


def test_object_at_rest_sleeps_until_something_touches_it(env, protocol):
    env.reset(CAN, protocol, BLIND)
    scene = env.physics.scene
    body = scene.add_object("opened_pepsi_can", task_object=True)
    assert not body.is_sleeping
    still = SettledObjects((as_pose([-0.2, 0.1, 1.2, 1, 0, 0, 0]),), (np.zeros(6),))
    place_objects(scene, Objects((Placement("sponge", (-0.2, 0.1), (1, 0, 0, 0)),)), still)
    scene.step_idle(20)
    assert scene.objects["sponge"].entity_pose.p[2] == pytest.approx(1.2)


def test_instruction_of_placing_the_apple_changes_after_the_101st_step(env, protocol):
    env.reset(APPLE, protocol, BLIND)
    env.physics.rule.steps = 99  # as after so many steps
    instructions = []
    for _ in range(2):
        env.step(np.zeros(7), observe=True)
        instructions.append(env.observation().instruction)
    assert instructions == ["open top drawer", "place apple into top drawer"]


def test_apple_that_lies_in_the_open_drawer_is_placed(env, protocol):
    env.reset(APPLE, protocol, BLIND)
    scene = env.physics.scene
    scene.cabinet.place(np.array([0.2, 0.0, 0.0]))
    (apple,) = scene.objects.values()
    apple.entity_pose = as_pose([0.1, 0.0, 0.70, 1, 0, 0, 0])
    scene.step_idle(200)
    env.physics.rule.steps = 99
    assert [env.step(np.zeros(7), observe=False) for _ in range(2)] == [False, True]
    assert env.measures() == {"is_drawer_open": True}


def test_privileged_state_describes_the_objects(env, protocol):
    env.reset(MOVE, protocol, ObservationSpec(privileged=True))
    seen = env.observation().privileged
    scene = seen["scene"]
    assert len(scene["objects"]) == len(seen["objects"]) == len(seen["coms"]) == len(scene["bounds"]) == 3
    assert {scene["source"], scene["target"]} < {0, 1, 2}
    assert scene["joints"] == list(JOINTS)
    assert (scene["bounds"][:, 0] < scene["bounds"][:, 1]).all()


def test_end_effector_follows_the_action(env, protocol):
    env.reset(CAN, protocol, ObservationSpec(proprio=True))
    before = env.observation().proprio["eef_pos"]
    for _ in range(6):
        env.step(np.array([0, 0, 0.02, 0, 0, 0, 0.0]), observe=True)
    moved = env.observation().proprio["eef_pos"] - before
    assert moved[2] > 0.02
    assert np.abs(moved[:2]).max() < 0.01


def test_action_with_nan_is_rejected(env, protocol):
    env.reset(CAN, protocol, BLIND)
    with pytest.raises(SimulationError, match="not finite"):
        env.step(np.full(7, np.nan), observe=False)


def test_folder_without_a_pack_is_rejected(tmp_path):
    with pytest.raises(SuiteError, match="ManiSkill2_real2sim not found"):
        SapienEnv(EnvOptions(assets=str(tmp_path), gl="none", cache=""))


@pytest.mark.parametrize("spec", [MOVE, CLOSE], ids=["move", "close"])
def test_instruction_of_another_task_changes_no_state_and_is_scored(env, protocol, spec):
    alone = rollout(env, spec, protocol)
    assert "asked_goal" not in env.measures()
    assert rollout(env, dataclasses.replace(spec, perturbation="language-wrong"), protocol) == alone
    assert env.measures()["asked_goal"] is False
    assert env.measures()["original_goal"] is False
