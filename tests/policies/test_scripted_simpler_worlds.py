"""The scripted expert wins SimplerEnv's tasks on stand-ins, by physics alone, and does the same twice."""

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvOptions, EpisodeSpec
from nora_bench.policies.base import Observation
from nora_bench.policies.scripted.policy import ScriptedPolicy

pytest.importorskip("sapien", reason="needs the extra: pip install nora-bench[simpler]")
pytest.importorskip("ruckig", reason="needs the extra: pip install nora-bench[simpler]")

PROTOCOL = protocols.get("simpler/nora-1.5")
EPISODES = {
    "pick a lying can": ("simpler-vm", 0, 12, "urdf_base/horizontal"),
    "pick a standing can": ("simpler-va", 0, 20, "base/standing"),
    "move a can near another": ("simpler-vm", 1, 25, "urdf_base"),
    "open the middle drawer": ("simpler-vm", 2, 4, "urdf_base/middle"),
    "close the bottom drawer": ("simpler-va", 3, 2, "base/bottom"),
    "place the apple in the drawer": ("simpler-vm-place", 4, 10, "urdf_base/top"),
}


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    from nora_bench.envs.simpler.assets.packs import resolve
    from nora_bench.envs.simpler.sim.env import SapienEnv

    return SapienEnv(EnvOptions(resolve("standin").path, "none", str(tmp_path_factory.mktemp("cache"))))


def rollout(env, episode, steps=None, style="slide"):
    """[steps, state size] the trajectory, and whether the last step counts as success."""
    suite, task, state, variant = episode
    spec = EpisodeSpec(suite, task, state, 0, PROTOCOL.name, variant)
    policy, states, done = ScriptedPolicy(style=style), [], False
    env.reset(spec, PROTOCOL, policy.observation_spec)
    for step in range(steps or PROTOCOL.steps(suite, env.physics.setup.configuration.task)):
        action = policy.act_one(Observation(spec, step, step, "", env.observation())).actions[0]
        done = env.step(action, observe=True)
        states.append(env.state())
    return np.array(states), done


@pytest.mark.parametrize("episode", EPISODES)
def test_episode_of_every_task_succeeds_at_its_last_step(env, episode):
    assert rollout(env, EPISODES[episode])[1]


@pytest.mark.slow
@pytest.mark.parametrize("style", ["lift", "squeeze"])
def test_object_is_lifted_and_set_down_near_the_target(env, style):
    states, done = rollout(env, ("simpler-vm", 1, 3, "urdf_base"), style=style)
    heights = states[:, 24::13]  # after the robot's 22 numbers, 13 per object
    assert done and (heights - heights[0]).max() > 0.08


def test_episode_has_the_same_states_twice(env):
    (first, _), (second, _) = (rollout(env, EPISODES["pick a lying can"], steps=12) for _ in range(2))
    assert first.tobytes() == second.tobytes()
