"""An episode is a pure function of its spec: a scene of its own, nothing of the episode before."""

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
from nora_bench.envs.simpler.sim.env import SapienEnv
from nora_bench.envs.simpler.sim.robot import HEAD_TILT, JOINTS, START

BLIND = ObservationSpec()
CAN = EpisodeSpec("simpler-vm", 0, 3, 0, "simpler/nora-1.5", "urdf_base/standing")
MOVE = EpisodeSpec("simpler-vm", 1, 30, 0, "simpler/nora-1.5", "urdf_base")
CLOSE = EpisodeSpec("simpler-vm", 3, 3, 0, "simpler/nora-1.5", "urdf_base/middle")
CROWD = EpisodeSpec("simpler-va", 0, 3, 0, "simpler/nora-1.5", "distractor_less/vertical")


@pytest.fixture(scope="module")
def options(simpler_standin):
    return EnvOptions(assets=str(simpler_standin), gl="none", cache="")


@pytest.fixture(scope="module")
def world(options):
    return SapienEnv(options)


@pytest.fixture(scope="module")
def protocol():
    return get("simpler/nora-1.5")


def play(world, spec, protocol, observation_spec=BLIND, steps=2):
    """Digest of all states."""
    states = hashlib.sha256(world.reset(spec, protocol, observation_spec).states.tobytes())
    rng = np.random.default_rng(0)
    for _ in range(steps):
        world.step(np.append(rng.uniform(-0.05, 0.05, 6), 1.0), observe=True)
        states.update(world.state().tobytes())
    return states.hexdigest()


@pytest.mark.parametrize("spec", [CAN, MOVE, CLOSE, CROWD], ids=lambda spec: spec.variant)
def test_an_episode_does_not_depend_on_the_ones_before(options, world, protocol, spec):
    alone = play(SapienEnv(options), spec, protocol)
    play(world, CLOSE if spec is not CLOSE else CAN, protocol)
    assert play(world, spec, protocol) == alone


def test_another_process_plays_the_same(options, world, protocol):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_env as t; from nora_bench.envs.protocols import get;"
        "o = t.EnvOptions(assets=sys.argv[2], gl='none', cache='');"
        "print(t.play(t.SapienEnv(o), t.CAN, get('simpler/nora-1.5')))"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", program, str(Path(__file__).parent), options.assets]
    other = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)
    assert other.stdout.split()[-1] == play(world, CAN, protocol)


def test_looking_changes_no_state(world, protocol):
    everything = ObservationSpec(proprio=True, privileged=True)
    assert play(world, CAN, protocol, everything) == play(world, CAN, protocol, BLIND)


def test_looks_of_a_configuration_do_not_change_the_physics(world, protocol):
    other = EpisodeSpec("simpler-vm", 0, 3, 0, "simpler/nora-1.5", "urdf_cabinet1/standing")
    assert play(world, other, protocol) == play(world, CAN, protocol)


def test_the_robot_starts_at_upstreams_pose(world, protocol):
    world.reset(CAN, protocol, ObservationSpec(proprio=True))
    told = world.observation().proprio
    assert told["joint_pos"] == pytest.approx(START)
    assert told["eef_pos"] == pytest.approx((0.439384, -0.218417, 0.961869), abs=2e-5)
    assert told["eef_quat"] == pytest.approx((0.160115, -0.603852, 0.780173, -0.032499), abs=2e-5)


def test_camera_looks_tilt_the_head(world, protocol):
    tilted = EpisodeSpec("simpler-va-camera", 0, 0, 0, "simpler/nora-1.5", "camera_1/standing")
    assert world.reset(tilted, protocol, BLIND).states[0, HEAD_TILT] == pytest.approx(0.9351361)


def test_the_drawer_to_be_closed_is_out(world, protocol):
    world.reset(CLOSE, protocol, ObservationSpec(privileged=True))
    assert world.observation().privileged["drawers"] == pytest.approx([0, 0.2, 0])


def test_experts_are_told_what_they_handle(world, protocol):
    world.reset(MOVE, protocol, ObservationSpec(privileged=True))
    seen = world.observation().privileged
    scene = seen["scene"]
    assert len(scene["objects"]) == len(seen["objects"]) == len(seen["coms"]) == len(scene["bounds"]) == 3
    assert {scene["source"], scene["target"]} < {0, 1, 2}
    assert scene["joints"] == list(JOINTS)
    assert (scene["bounds"][:, 0] < scene["bounds"][:, 1]).all()


def test_the_hand_goes_where_it_is_told(world, protocol):
    world.reset(CAN, protocol, ObservationSpec(proprio=True))
    before = world.observation().proprio["eef_pos"]
    for _ in range(6):
        world.step(np.array([0, 0, 0.02, 0, 0, 0, 0.0]), observe=True)
    moved = world.observation().proprio["eef_pos"] - before
    assert moved[2] > 0.02
    assert np.abs(moved[:2]).max() < 0.01


def test_an_action_that_is_not_a_number_is_refused(world, protocol):
    world.reset(CAN, protocol, BLIND)
    with pytest.raises(SimulationError, match="not finite"):
        world.step(np.full(7, np.nan), observe=False)


def test_a_folder_without_a_pack_is_named(tmp_path):
    with pytest.raises(SuiteError, match="holds no ManiSkill2_real2sim"):
        SapienEnv(EnvOptions(assets=str(tmp_path), gl="none", cache=""))
