"""The client against real servers of the package `vla-eval`: its zero-action baseline, and models written here on its classes."""

import json
import threading

import numpy as np
import pytest
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.base import EpisodeStateLost
from nora_bench.policies.registry import load
from servers import TOY, observation, openpi_like, process

pytest.importorskip("vla_eval", reason="pip install 'nora-bench[dev]'")

BASELINE = """
import sys
from vla_eval.model_servers.behavior1k_baseline import Behavior1KBaselineModelServer
from vla_eval.model_servers.serve import serve
serve(Behavior1KBaselineModelServer(action_dim=7), host="127.0.0.1", port=int(sys.argv[-1]))
"""
ECHO = """
import json, sys
import numpy as np
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.model_servers.serve import serve
from vla_eval.specs import DimSpec, IMAGE_RGB

class Echo(PredictModelServer):
    def get_observation_params(self):
        return json.loads(sys.argv[1])
    def get_action_spec(self):
        return {"gripper": DimSpec("gripper", 1, sys.argv[2])}
    def get_observation_spec(self):
        return {"image": IMAGE_RGB}
    def predict_batch(self, observations, contexts):
        return [{"actions": self.one(obs, ctx, len(observations))} for obs, ctx in zip(observations, contexts)]
    def one(self, obs, ctx, size):
        if obs["task_description"] == "fail":
            raise ValueError("no such task")
        seen = float(obs["images"]["agentview"][0, 0, 0])
        state = float(obs["states"][0]) if "states" in obs else -1.0
        turned = float(obs["controller_states"][5]) if "controller_states" in obs else 0.0
        step = [seen, float(ctx.step), state, float(len(obs["images"])), float(size), turned]
        return np.array([step + [0.3], step + [-0.3]])

serve(Echo(max_batch_size=8, chunk_size=int(sys.argv[3]) or None), host="127.0.0.1", port=int(sys.argv[-1]))
"""


@pytest.fixture
def server(tmp_path):
    """Starts a server of vla-eval's; its address."""
    running = []

    def start(code=ECHO, wishes=None, gripper="binary_close_positive", chunk=0):
        context = process(code, tmp_path / f"server-{len(running)}.log", json.dumps(wishes or {}), gripper, str(chunk))
        running.append(context)
        return "vla-eval://" + context.__enter__()

    yield start
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
def connected(server):
    """A policy at such a server."""
    policies = []

    def connect(args=None, **options):
        policies.append(load(server(**options), args or {}))
        policies[-1].setup(TOY)
        return policies[-1]

    yield connect
    for policy in policies:
        policy.close()


def seen(number, decision=0):
    images = {camera: np.full((8, 8, 3), number, np.uint8) for camera in ("primary", "wrist")}
    proprio = {"eef_pos": np.ones(3), "eef_quat": np.array([0.0, 0, 0, 1]), "gripper_qpos": np.zeros(2)}
    return observation(number, decision, images=images, proprio=proprio)


def test_vla_evals_own_baseline_server_works(connected):
    policy = connected(code=BASELINE)
    (chunk,) = policy.act([seen(1)])
    assert chunk.actions.tolist() == [[0, 0, 0, 0, 0, 0, 1]]  # its zero gripper means close, as vla-eval's LIBERO reads it
    server = policy.fingerprint()["server"]
    assert server["model_server"] == "Behavior1KBaselineModelServer"
    assert server["harness_version"] == "0.8.0"
    assert server["weights"] == "unknown"
    json.dumps(policy.fingerprint())


def test_episodes_are_kept_apart_and_their_steps_counted(connected):
    policy = connected()
    for decision in range(3):
        chunks = policy.act([seen(number, decision) for number in (1, 2, 3)])
        assert [chunk.actions[0, :2].tolist() for chunk in chunks] == [[number, decision] for number in (1, 2, 3)]
    assert policy.metrics()["batch"] == {"mean": 3.0, "max": 3}


def test_a_whole_chunk_comes_back_with_its_gripper_made_binary(connected):
    (chunk,) = connected().act([seen(1)])
    assert chunk.actions.shape == (2, 7)
    assert chunk.actions[:, -1].tolist() == [1, -1]


def test_server_with_a_chunk_buffer_returns_one_step_at_a_time(connected):
    policy = connected(chunk=2)
    answers = [policy.act([seen(7, decision)])[0].actions for decision in range(3)]
    assert [answer.shape for answer in answers] == [(1, 7)] * 3
    assert [answer[0, 1] for answer in answers] == [0, 0, 2]


def test_a_new_episode_starts_anew_on_the_connection_of_an_old_one(connected):
    policy = connected(chunk=2)
    policy.act([seen(1)])
    policy.end_episode(seen(1).key)
    (chunk,) = policy.act([seen(2)])
    assert chunk.actions[0, 0] == 2
    assert policy.metrics()["connections"] == 1


def test_server_receives_the_inputs_that_it_requires(connected):
    policy = connected(wishes={"send_wrist_image": True, "send_state": True, "seed": 7})
    assert policy.observation_spec.cameras == ("primary", "wrist")
    assert policy.observation_spec.proprio
    (chunk,) = policy.act([seen(1)])
    assert chunk.actions[0, 2:4].tolist() == [1, 2]
    assert chunk.actions[0, 5] == pytest.approx(-np.pi / 2), "the controller's frame, not the hand's"


def test_unmet_requirement_is_rejected(server):
    with pytest.raises(PolicyError, match="requires send_video_history=True, which nora-bench does not provide") as caught:
        load(server(wishes={"send_video_history": True}), {})
    assert "ignore" not in str(caught.value)


def test_ignored_requirement_tags_the_run(connected):
    policy = connected({"ignore": "send_video_history"}, wishes={"send_video_history": True})
    assert policy.act([seen(1)])
    assert policy.tags == ("undeclared", "unchecked")


@pytest.mark.parametrize("wish", ["absolute_action", "send_state"])
def test_met_requirement_cannot_be_ignored(server, wish):
    with pytest.raises(PolicyError, match=f"ignore={wish}: .* gets that"):
        load(server(wishes={wish: True}), {"ignore": wish})


@pytest.mark.parametrize("wish", [{"num_steps_wait": 10}, {"max_steps": 1}, {"suite": "libero_10"}])
def test_server_for_another_suite_or_protocol_is_rejected(connected, wish):
    with pytest.raises(PolicyError, match=f"requires {next(iter(wish))}=.*and the run under toy/plain has"):
        connected(wishes=wish)


def test_server_for_this_suite_and_protocol_is_accepted(connected):
    protocol = TOY.protocol
    wishes = {"suite": "toy", "max_steps": protocol.steps("toy"), "num_steps_wait": protocol.settle_steps}
    assert connected(wishes=wishes).act([seen(1)])


def test_actions_in_an_unsupported_form_are_rejected(connected):
    with pytest.raises(PolicyError, match="declares gripper as continuous_01") as caught:
        connected(gripper="continuous_01")
    assert "check" not in str(caught.value)
    policy = connected({"check": "false"}, gripper="continuous_01")
    assert policy.act([seen(1)])
    assert policy.tags == ("undeclared", "unchecked")


@pytest.mark.parametrize(
    ("form", "shown"),
    [("binary_close_positive", [1, -1]), ("binary_close_negative", [-1, 1]), ("binary_close_01", [-1, -1]), ("raw", [1, -1])],
)
def test_a_declared_gripper_becomes_liberos(connected, form, shown):
    (chunk,) = connected(gripper=form).act([seen(1)])  # the model answers 0.3 and -0.3
    assert chunk.actions[:, -1].tolist() == shown


def test_error_of_the_model_is_reported(connected):
    failing = observation(0, images=seen(0).env_observation.images)
    policy = connected()
    with pytest.raises(PolicyError, match="ValueError: no such task"):
        policy.act([type(failing)(failing.spec, 0, 0, "fail", failing.env_observation)])


def test_episode_with_a_broken_connection_is_run_again_and_others_continue(connected):
    policy = connected(chunk=2)
    policy.act([seen(1), seen(2)])
    policy._connections[seen(1).key].close()
    with pytest.raises(EpisodeStateLost) as caught:
        policy.act([seen(1, 1), seen(2, 1)])
    assert [*caught.value.causes] == [seen(1).key]
    again, other = policy.act([seen(1), seen(2, 1)])
    assert (again.actions[0, 1], other.actions[0, 1]) == (0, 0)
    assert other.actions[0, -1] == -1, "the second step of the chunk, taken once"


def test_server_of_another_protocol_is_rejected():
    with openpi_like(lambda message: {}) as url, pytest.raises(PolicyError, match="does not speak vla-eval's protocol"):
        load(url.replace("ws://", "vla-eval://"), {})


def test_silent_server_is_a_timeout():
    over = threading.Event()
    from websockets.sync.server import serve

    with serve(lambda connection: over.wait(10), "127.0.0.1", 0) as silent:
        threading.Thread(target=silent.serve_forever, daemon=True).start()
        port = silent.socket.getsockname()[1]
        with pytest.raises(PolicyError, match=r"did not respond within 0\.2 s"):
            load(f"vla-eval://127.0.0.1:{port}", {"request_timeout_s": "0.2"})
        over.set()
