"""Absolute hand poses become LIBERO's actions, by arithmetic and through the client (in the simulator: tests/envs/libero)."""

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.registry import load
from nora_bench.policies.remote import vla_eval
from nora_bench.policies.scripted.geometry import exp, log
from servers import vla_eval_like

pytest.importorskip("websockets", reason="pip install 'nora-bench[remote]'")

PROTOCOL = protocols.get("libero/openvla")
CONTEXT = PolicyContext(PROTOCOL, ("libero_object",), 7)
SPEC = EpisodeSpec("libero_object", 0, 0, 0, PROTOCOL.name)
XVLA = {
    "observation_params": {"send_wrist_image": True, "send_state": True, "absolute_action": True},
    "action_spec": {"position": {"format": "delta_xyz"}, "rotation": {"format": "axis_angle"}},
}
"""What vla-eval's X-VLA server greets with on LIBERO."""


def proprio(quat=(1.0, 0.0, 0.0, 0.0), position=(0.1, 0.0, 1.0)):
    return {"eef_pos": np.array(position), "eef_quat": np.array(quat), "gripper_qpos": np.array([0.02, -0.02])}


def shown(decision=0, **changes):
    images = {camera: np.zeros((8, 8, 3), np.uint8) for camera in ("primary", "wrist")}
    return Observation(SPEC, decision, decision, "go home", EnvObservation(images, proprio(**changes)))


def pose(*, way=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0), grip=1.0):
    """The pose that is reached from `proprio()` by a way (m) and a turn (rotation vector, world)."""
    here = proprio()
    return np.concatenate([here["eef_pos"] + way, log(exp(np.array(turn)) @ vla_eval.site_rotation(here)), [grip]])


def test_pose_becomes_the_displacement_to_it():
    action, cut = vla_eval.delta_of(pose(way=(0.01, 0, -0.02), turn=(0, 0.1, 0)), proprio())
    assert action == pytest.approx([0.2, 0, -0.4, 0, 0.2, 0, 1])
    assert not cut


def test_pose_out_of_reach_is_cut_and_marked():
    action, cut = vla_eval.delta_of(pose(way=(0.2, 0, 0)), proprio())
    assert (action[0], cut) == (1.0, True)


def test_the_orientation_that_is_held_is_a_command_too():
    """The controller answers to a rotation of exactly zero by keeping the goal of the step before."""
    here = proprio(quat=(0.0, 0.0, 0.0, 1.0))
    action, _ = vla_eval.delta_of(np.array([*here["eef_pos"], *log(vla_eval.SITE_IN_HAND), 1.0]), here)
    assert action[3:6].any()
    assert action[3:6] == pytest.approx(np.zeros(3), abs=1e-6)


@pytest.fixture
def connected():
    """A policy at a server of absolute poses, and what that was shown."""
    from contextlib import ExitStack

    with ExitStack() as open_now:

        def connect(answer, greeting=XVLA, context=CONTEXT):
            seen = []
            url = open_now.enter_context(vla_eval_like(lambda payload: seen.append(payload) or answer(len(seen)), greeting))
            policy = load(url, {})
            open_now.callback(policy.close)
            policy.setup(context)
            return policy, seen

        yield connect


def test_every_pose_of_a_chunk_starts_from_the_current_pose(connected):
    chunk = np.array([pose(way=(0.01 * step, 0, 0)) for step in (1, 2, 3)])
    policy, seen = connected(lambda number: chunk)
    chunks = [policy.act([shown(step, position=(0.1 + 0.008 * step, 0.0, 1.0))])[0] for step in range(4)]
    assert [len(one.actions) for one in chunks] == [1, 1, 1, 1]
    assert [one.actions[0, 0] for one in chunks[:3]] == pytest.approx([0.2, 0.24, 0.28])
    assert len(seen) == 2, "asked again when the chunk is used up"


def test_an_episode_that_starts_again_leaves_its_poses_behind(connected):
    policy, seen = connected(lambda number: np.array([pose(way=(0.01 * number, 0, 0))] * 3))
    policy.act([shown()])
    (again,) = policy.act([shown()])
    assert (again.actions[0, 0], len(seen)) == (pytest.approx(0.4), 2)


def test_both_states_and_the_images_are_sent(connected):
    policy, seen = connected(lambda number: pose())
    policy.act([shown()])
    (payload,) = seen
    assert sorted(payload["images"]) == ["agentview", "wrist"]
    assert payload["states"][:3].tolist() == payload["controller_states"][:3].tolist() == [0.1, 0.0, 1.0]
    assert exp(payload["controller_states"][3:6]) == pytest.approx(vla_eval.site_rotation(proprio()))


def test_declared_absolute_position_needs_no_requirement(connected):
    policy, _ = connected(lambda number: pose(way=(0.01, 0, 0)), {"action_spec": {"position": {"format": "absolute_xyz"}}})
    assert policy.observation_spec.proprio
    assert policy.act([shown()])[0].actions[0, 0] == pytest.approx(0.2)


@pytest.mark.parametrize("answer", [np.zeros(8), np.full(7, np.nan), np.full((2, 2, 7), 0.0)], ids=["width", "nan", "shape"])
def test_response_that_is_no_pose_is_rejected(connected, answer):
    policy, _ = connected(lambda number: answer)
    with pytest.raises(PolicyError, match=r"the server at .* responded with"):
        policy.act([shown()])


def test_protocol_with_success_at_chunk_end_is_rejected(connected):
    with pytest.raises(PolicyError, match="Type: --protocol libero/openvla"):
        connected(lambda number: pose(), context=PolicyContext(protocols.get("libero/nora"), ("libero_object",), 7))
