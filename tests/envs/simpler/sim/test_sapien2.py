"""Episodes on SAPIEN 2.2.2: the recorded ones to the bit, and each a pure function of its spec.

Skipped without its interpreter: nora-bench doctor --fix --simpler makes it, NORA_BENCH_SAPIEN2_PYTHON names another.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec, SimulationError
from nora_bench.envs.protocols import get
from nora_bench.envs.simpler import interpreter
from nora_bench.envs.simpler.assets.required_files import missing_widowx_files
from nora_bench.envs.simpler.parity import exact
from nora_bench.envs.simpler.setup import setup_of
from nora_bench.envs.simpler.sim.env import SapienEnv
from nora_bench.envs.simpler.sim.sapien2.process import PhysicsProcess
from nora_bench.envs.simpler.sim.sapien2.request import constructor_reset

PROTOCOL = get("simpler/nora-1.5")
CAN = EpisodeSpec("simpler-vm", 0, 3, 0, "simpler/nora-1.5", "urdf_base/standing")
MOVE = EpisodeSpec("simpler-vm", 1, 30, 0, "simpler/nora-1.5", "urdf_base")
CLOSE = EpisodeSpec("simpler-vm", 3, 3, 0, "simpler/nora-1.5", "urdf_base/middle")
CROWD = EpisodeSpec("simpler-va", 0, 3, 0, "simpler/nora-1.5", "distractor_less/vertical")
APPLE = EpisodeSpec("simpler-vm-place", 4, 10, 0, "simpler/nora-1.5", "urdf_base/top")
RECORDED = (
    "simpler/pick_coke_can__va_base_standing_random_contact",
    "simpler/open_drawer__vm_bottom_c2_cabinet1_random",
    "simpler_widowx/eggplant_in_basket__vm_ep6_push",
    "simpler_widowx/place_apple__vm_b0_success",
)
needs_sapien2 = pytest.mark.skipif(bool(interpreter.problem()), reason=interpreter.problem())


@pytest.fixture
def options(simpler_standin, tmp_path):
    return EnvOptions(str(simpler_standin), "none", str(tmp_path), "sapien2")


@pytest.fixture
def env(options):
    env = SapienEnv(options)
    yield env
    env.close()


def rollout(env, spec, observation_spec=None, steps=2):
    """Digest of all states."""
    states = hashlib.sha256(env.reset(spec, PROTOCOL, observation_spec or ObservationSpec()).states.tobytes())
    rng = np.random.default_rng(0)
    for _ in range(steps):
        env.step(np.append(rng.uniform(-0.05, 0.05, 6), 1.0), observe=True)
        states.update(env.state().tobytes())
    return states.hexdigest()


@needs_sapien2
@pytest.mark.parametrize("name", RECORDED)
def test_recorded_episode_is_repeated_to_the_bit(golden, simpler_official, tmp_path, name):
    if name.startswith("simpler_widowx/") and missing_widowx_files(simpler_official):
        pytest.skip("the official pack has no files of the WidowX")
    process = PhysicsProcess(tmp_path)
    checks = list(exact.compare_one(golden / name, process, simpler_official))
    process.close()
    assert {check.quantity: check.error for check in checks} == dict.fromkeys((check.quantity for check in checks), 0.0)
    assert len(checks) == 5


@needs_sapien2
@pytest.mark.parametrize("spec", [CAN, CLOSE], ids=lambda spec: spec.variant)
def test_episode_is_independent_of_earlier_episodes_and_processes(options, env, spec):
    other = SapienEnv(options)
    alone = rollout(other, spec)
    other.close()
    rollout(env, CLOSE if spec is not CLOSE else CAN)
    assert rollout(env, spec) == alone


@needs_sapien2
def test_instruction_of_placing_the_apple_changes_after_the_101st_step(env):
    env.reset(APPLE, PROTOCOL, ObservationSpec())
    env.physics.rule.steps = 99  # as after so many steps
    instructions = []
    for _ in range(2):
        env.step(np.zeros(7), observe=True)
        instructions.append(env.observation().instruction)
    assert instructions == ["open top drawer", "place apple into top drawer"]


@needs_sapien2
def test_observing_changes_no_state(env):
    assert rollout(env, CAN, ObservationSpec(proprio=True, privileged=True)) == rollout(env, CAN)


@needs_sapien2
def test_episode_leaves_no_file_in_the_pack(env, simpler_standin):
    before = set(Path(simpler_standin).rglob("*"))
    rollout(env, CAN, steps=0)
    assert set(Path(simpler_standin).rglob("*")) == before


@needs_sapien2
def test_privileged_state_describes_the_objects(env):
    env.reset(MOVE, PROTOCOL, ObservationSpec(privileged=True))
    state = env.observation().privileged
    assert len(state["scene"]["objects"]) == len(state["objects"]) == len(state["coms"]) == 3
    assert (state["scene"]["bounds"][:, 0] < state["scene"]["bounds"][:, 1]).all()


@needs_sapien2
def test_end_effector_follows_the_action(env):
    env.reset(CAN, PROTOCOL, ObservationSpec(proprio=True))
    before = env.observation().proprio["eef_pos"]
    for _ in range(6):
        env.step(np.array([0, 0, 0.02, 0, 0, 0, 0.0]), observe=True)
    assert (env.observation().proprio["eef_pos"] - before)[2] > 0.02


@needs_sapien2
def test_action_with_nan_is_rejected(env):
    env.reset(CAN, PROTOCOL, ObservationSpec())
    with pytest.raises(SimulationError, match="not finite"):
        env.step(np.full(7, np.nan), observe=False)


@pytest.mark.parametrize(
    ("spec", "drops"),
    [
        (CAN, 1),
        (CLOSE, 0),
        (MOVE, 3),
    ],
    ids=["can", "drawer", "triplet of the constructor"],
)
def test_constructors_reset_is_repeated_where_its_scene_is_kept(spec, drops):
    first = constructor_reset(setup_of(spec))
    assert len(first["drops"]) == drops
    assert 0.30 <= first["base"][0] <= 0.40


def test_constructor_draws_the_cans_place_from_seed_2022():
    rng = np.random.RandomState(2022)
    place = rng.uniform([-0.35, -0.02], [-0.12, 0.42], 2)
    base = rng.uniform(0.30, 0.40), rng.uniform(0.0, 0.2)
    first = constructor_reset(setup_of(CAN))
    assert (first["drops"][0][:2], first["base"][:2]) == (place.tolist(), list(base))


@pytest.mark.parametrize("spec", [replace(MOVE, init_state=5), CROWD], ids=["other triplet", "distractors"])
def test_scene_built_anew_has_no_earlier_reset(spec):
    assert constructor_reset(setup_of(spec)) is None
