"""The WidowX tasks on SAPIEN 3: one episode of each on stand-ins, and what an episode's start depends on."""

import numpy as np
import pytest

pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec, SimulationError
from nora_bench.envs.protocols import get
from nora_bench.envs.simpler import interpreter
from nora_bench.envs.simpler.assets.required_files import missing_widowx_files
from nora_bench.envs.simpler.sim.env import SapienEnv
from nora_bench.envs.simpler.sim.widowx.constants import START
from nora_bench.envs.simpler.sim.widowx.settling import WidowXSettler
from nora_bench.envs.simpler.widowx_grid import configurations
from nora_bench.envs.simpler.widowx_tasks import TASKS
from widowx_rollouts import rollout, undo

PROTOCOL = get("simpler/widowx")
BLIND = ObservationSpec()


@pytest.fixture(scope="module")
def env(simpler_standin):
    return SapienEnv(EnvOptions(assets=str(simpler_standin), gl="none", cache=""))


def spec(task, init=0, protocol="simpler/widowx"):
    return EpisodeSpec("simpler-widowx", list(TASKS).index(task), init, 0, protocol)


@pytest.mark.parametrize("task", TASKS)
def test_expert_solves_one_episode_of_each_task(simpler_standin, task):
    done = rollout(simpler_standin, list(TASKS).index(task), 1, steps=60)
    assert done.goal[-1]
    assert done.measures["is_src_obj_grasped"]


def test_expert_solves_an_episode_on_sapien2(simpler_standin):
    if missing := interpreter.problem():
        pytest.skip(missing)
    assert rollout(simpler_standin, list(TASKS).index("stack_cube"), 1, backend="sapien2").goal[-1]


def test_source_taken_away_again_fails_at_the_last_step_but_not_at_any(simpler_standin):
    done = rollout(simpler_standin, list(TASKS).index("carrot_on_plate"), 1, plan=undo)
    assert any(done.goal)
    assert not done.goal[-1]
    assert not done.measures["src_on_target"]


def test_episode_is_independent_of_earlier_episodes(simpler_standin, env):
    def states(used):
        out = [used.reset(spec("stack_cube", 3), PROTOCOL, BLIND).states]
        for _ in range(3):
            used.step(np.array([0.01, -0.02, -0.01, 0.05, 0, 0, -1.0]), observe=False)
            out.append(used.state())
        return np.concatenate([np.ravel(state) for state in out])

    alone = states(SapienEnv(EnvOptions(assets=str(simpler_standin), gl="none", cache="")))
    env.reset(spec("eggplant_in_basket", 5), PROTOCOL, BLIND)
    assert np.array_equal(states(env), alone)


def test_robot_starts_at_upstreams_pose(env):
    env.reset(spec("spoon_on_towel"), PROTOCOL, ObservationSpec(proprio=True))
    proprio = env.observation().proprio
    assert proprio["joint_pos"] == pytest.approx(START["widowx"])
    assert proprio["eef_pos"] == pytest.approx((0.29207, -0.00609, 0.13532), abs=2e-5)
    assert proprio["gripper_qpos"] == pytest.approx((0.037, 0.037))


def test_gripper_command_is_absolute(env):
    env.reset(spec("spoon_on_towel"), PROTOCOL, ObservationSpec(proprio=True))
    # each control step covers 63 % of what is left: 0.06 mm remain after six
    for _ in range(6):
        env.step(np.array([0, 0, 0, 0, 0, 0, -1.0]), observe=True)
    assert env.observation().proprio["gripper_qpos"] == pytest.approx((0.015, 0.015), abs=1e-4)
    for _ in range(6):
        env.step(np.array([0, 0, 0, 0, 0, 0, 1.0]), observe=True)
    assert env.observation().proprio["gripper_qpos"] == pytest.approx((0.037, 0.037), abs=1e-4)


def test_action_is_a_pose_under_the_absolute_protocol(env):
    protocol = get("simpler/widowx-x-vla")
    env.reset(spec("carrot_on_plate", protocol=protocol.name), protocol, ObservationSpec(proprio=True))
    goal = np.array([0.30, 0.02, 0.10])
    start = env.observation().proprio["eef_quat"]
    angle = 2 * np.arccos(min(1.0, start[0]))
    turn = angle * start[1:] / np.sin(angle / 2)
    for _ in range(12):
        env.step(np.array([*goal, *turn, 1.0]), observe=True)
    assert env.observation().proprio["eef_pos"] == pytest.approx(goal, abs=2e-3)


def test_action_with_nan_is_rejected(env):
    env.reset(spec("stack_cube"), PROTOCOL, BLIND)
    with pytest.raises(SimulationError, match="not finite"):
        env.step(np.full(7, np.nan), observe=False)


def test_objects_start_at_the_recorded_poses_with_upstreams_shapes(simpler_official):
    if missing := missing_widowx_files(simpler_official):
        pytest.skip(f"the pack lacks the WidowX's files: {missing[0]}")
    settler = WidowXSettler(simpler_official)
    eggplant = settler.settle(configurations()[-1].episode(14))
    assert eggplant.poses[1].p == pytest.approx((-0.1482, 0.0224, 0.9359), abs=2e-3)
    assert eggplant.velocities[0] == pytest.approx(np.zeros(6))
