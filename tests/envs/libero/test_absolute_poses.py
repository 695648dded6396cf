"""Absolute poses in the simulator: the same motion as with the actions that lead to them."""

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EpisodeSpec, ObservationSpec
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.registry import load
from nora_bench.policies.remote import poses
from nora_bench.policies.scripted.geometry import log
from servers import vla_eval_like

pytest.importorskip("websockets", reason="pip install 'nora-bench[remote]'")
pytestmark = pytest.mark.libero

PROTOCOL = protocols.get("libero/openvla")
CONTEXT = PolicyContext(PROTOCOL, ("libero_object",), 7)
SPEC = EpisodeSpec("libero_object", 0, 0, 0, PROTOCOL.name)


def test_the_controllers_frame_is_the_grip_sites(world):
    world.reset(SPEC, PROTOCOL, ObservationSpec(proprio=True))
    site = world._scene.data.site_xmat[world._scene.arm.site].reshape(3, 3)
    assert poses.site_rotation(world.observation().proprio) == pytest.approx(site, abs=1e-3)


def test_an_action_of_one_is_the_controllers_scale(world):
    world.reset(SPEC, PROTOCOL, ObservationSpec(proprio=True))
    assert world._scene.arm.scale.tolist() == [poses.POSITION_SCALE] * 3 + [poses.ROTATION_SCALE] * 3


def play(world, policy, steps):
    """Whether the task was solved, the hand's way, and the controller's goals, one a step."""
    world.reset(SPEC, PROTOCOL, ObservationSpec(proprio=True, privileged=True))
    way, goals, won = [], [], False
    while not won and len(way) < steps:
        number = len(way)
        (chunk,) = policy.act([Observation(SPEC, number, number, "go home", world.observation())])
        won = world.step(chunk.actions[0], observe=True)
        arm = world._scene.arm
        goals.append(np.concatenate([arm.goal_pos, log(arm.goal_ori), chunk.actions[0, 6:]]))
        way.append(world.observation().proprio["eef_pos"])
    return won, np.array(way), goals


@pytest.mark.slow
def test_the_experts_actions_as_absolute_poses_move_the_hand_as_the_actions_themselves(world):
    """Poses as X-VLA's training data has them: the controller's goals while actions are played."""
    expert = load("scripted", {})
    expert.setup(CONTEXT)
    won, way, goals = play(world, expert, 280)
    greeting = {"observation_params": {"absolute_action": True}}
    asked = iter(goals + [goals[-1]] * 280)
    with vla_eval_like(lambda payload: next(asked), greeting) as url:
        policy = load(url, {})
        policy.setup(CONTEXT)
        won_by_poses, way_by_poses, _ = play(world, policy, 280)
        policy.close()
    both = min(len(way), len(way_by_poses))
    assert won
    assert won_by_poses
    assert abs(len(way) - len(way_by_poses)) <= 2
    assert np.linalg.norm(way[:both] - way_by_poses[:both], axis=1).max() < 0.002
