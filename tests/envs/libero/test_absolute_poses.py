"""Absolute poses in the simulator: the same motion as with the actions that lead to them."""

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EpisodeSpec, ObservationSpec
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.registry import load
from nora_bench.policies.remote import vla_eval
from nora_bench.policies.scripted.geometry import log
from servers import vla_eval_like

pytest.importorskip("websockets", reason="pip install 'nora-bench[remote]'")
pytestmark = pytest.mark.libero

PROTOCOL = protocols.get("libero/openvla")
CONTEXT = PolicyContext(PROTOCOL, ("libero_object",), 7)
SPEC = EpisodeSpec("libero_object", 0, 0, 0, PROTOCOL.name)


def test_controllers_frame_is_the_grip_sites(env):
    env.reset(SPEC, PROTOCOL, ObservationSpec(proprio=True))
    site = env._scene.data.site_xmat[env._scene.arm.site].reshape(3, 3)
    assert vla_eval.site_rotation(env.observation().proprio) == pytest.approx(site, abs=1e-3)


def test_action_of_one_is_the_controllers_scale(env):
    env.reset(SPEC, PROTOCOL, ObservationSpec(proprio=True))
    assert env._scene.arm.scale.tolist() == [vla_eval.POSITION_SCALE] * 3 + [vla_eval.ROTATION_SCALE] * 3


def play(env, policy, steps):
    """Whether the task was solved, the hand's way, and the controller's goals, one a step."""
    env.reset(SPEC, PROTOCOL, ObservationSpec(proprio=True, privileged=True))
    way, goals, won = [], [], False
    while not won and len(way) < steps:
        number = len(way)
        (chunk,) = policy.act([Observation(SPEC, number, number, "go home", env.observation())])
        won = env.step(chunk.actions[0], observe=True)
        arm = env._scene.arm
        goals.append(np.concatenate([arm.goal_pos, log(arm.goal_ori), chunk.actions[0, 6:]]))
        way.append(env.observation().proprio["eef_pos"])
    return won, np.array(way), goals


@pytest.mark.slow
def test_absolute_poses_move_the_end_effector_like_the_expert_actions(env):
    """Poses as X-VLA's training data has them: the controller's goals while actions are played."""
    expert = load("scripted", {})
    expert.setup(CONTEXT)
    won, way, goals = play(env, expert, 280)
    greeting = {"observation_params": {"absolute_action": True}}
    asked = iter(goals + [goals[-1]] * 280)
    with vla_eval_like(lambda payload: next(asked), greeting) as url:
        policy = load(url, {})
        policy.setup(CONTEXT)
        won_by_poses, way_by_poses, _ = play(env, policy, 280)
        policy.close()
    both = min(len(way), len(way_by_poses))
    assert won
    assert won_by_poses
    assert abs(len(way) - len(way_by_poses)) <= 2
    assert np.linalg.norm(way[:both] - way_by_poses[:both], axis=1).max() < 0.002
