"""The client against a server that knows nothing of us, as those of π0 do not."""

import itertools
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs.base import EnvObservation
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.registry import PolicyRequestError, load
from nora_bench.policies.remote import messages
from servers import TOY, free_port, observation, openpi_like

pytest.importorskip("websockets", reason="pip install 'nora-bench[remote]'")

PROPRIO = {"eef_pos": np.array([0.1, 0.2, 0.3]), "eef_quat": np.array([1.0, 0, 0, 0]), "gripper_qpos": np.array([0.02, -0.02])}


def pictured(number=0, decision=0, size=256):
    images = {camera: np.full((size, size, 3), number, np.uint8) for camera in ("primary", "wrist")}
    return observation(number, decision, images=images, proprio=PROPRIO)


def first_pixel(message):
    """Answers a chunk that tells which picture was seen."""
    seen = float(message["observation/image"][0, 0, 0])
    return {"actions": np.full((10, 1), seen, np.float32), "server_timing": {"infer_ms": 2.0}}


def asked(url, *observations, **args):
    policy = load(url, {name: str(value) for name, value in args.items()})
    policy.setup(TOY)
    try:
        return policy, policy.act(observations)
    finally:
        policy.close()


def test_observations_go_out_under_openpis_names_and_sizes():
    seen = []
    with openpi_like(lambda message: seen.append(message) or {"actions": np.zeros((1, 1))}) as url:
        asked(url, pictured())
    (message,) = seen
    assert set(message) == {"observation/image", "observation/wrist_image", "observation/state", "prompt"}
    assert message["prompt"] == "go home"
    assert message["observation/image"].shape == (224, 224, 3)
    assert message["observation/state"] == pytest.approx([0.1, 0.2, 0.3, np.pi, 0, 0, 0.02, -0.02])


def test_every_row_of_a_batch_gets_its_own_chunk():
    with openpi_like(first_pixel) as url:
        _, chunks = asked(url, *map(pictured, range(20)))
    assert [chunk.actions[0, 0] for chunk in chunks] == list(range(20))
    assert {(chunk.actions.dtype, chunk.actions.shape) for chunk in chunks} == {(np.dtype(np.float64), (10, 1))}


def test_sent_inputs_can_be_selected():
    seen = []
    with openpi_like(lambda message: seen.append(message) or {"actions": np.zeros(1)}) as url:
        policy, (chunk,) = asked(url, pictured(), image_size=0, cameras="primary", state="false", n_action_steps=5)
    assert policy.observation_spec.cameras == ("primary",)
    assert not policy.observation_spec.proprio
    assert seen[0]["observation/image"].shape == (256, 256, 3)
    assert "observation/state" not in seen[0]
    assert chunk.actions.shape == (1, 1)


def test_image_that_is_not_square_keeps_its_aspect_ratio():
    seen = []
    with openpi_like(lambda message: seen.append(message) or {"actions": np.zeros((1, 1))}) as url:
        images = {"primary": np.full((512, 640, 3), 200, np.uint8)}
        asked(url, observation(images=images), cameras="primary", state="false")
    (picture,) = (message["observation/image"] for message in seen)
    assert picture.shape == (224, 224, 3)
    rows = np.flatnonzero(picture.any(axis=(1, 2)))
    assert (rows[0], rows[-1], len(rows)) == (22, 200, 179), "4/5 of the height, in the middle; black above and below"
    assert (picture[rows] == 200).all()


@pytest.mark.parametrize("args", [{"steps": 0}, {"image_size": -1}])
def test_argument_out_of_range_is_rejected(args):
    with openpi_like(first_pixel) as url, pytest.raises(PolicyError, match=next(iter(args))):
        asked(url, pictured(), **args)


def test_n_action_steps_limits_the_executed_steps():
    with openpi_like(first_pixel) as url:
        _, (chunk,) = asked(url, pictured(), n_action_steps=5)
    assert len(chunk.actions) == 5


def test_declared_facts_are_recorded_and_others_are_unknown():
    with openpi_like(first_pixel, {"weights": "sha256:1", "reset_pose": [0.5]}) as url:
        policy, _ = asked(url, pictured())
    server = policy.fingerprint()["server"]
    assert (server["weights"], server["versions"], server["chunk"]) == ("sha256:1", "unknown", "unknown")
    assert server["declared"]["reset_pose"] == [0.5]
    assert (policy.stochastic, policy.tags) == (True, ("undeclared",))
    json.dumps(policy.fingerprint())


def test_latency_and_batch_size_are_measured():
    with openpi_like(first_pixel) as url:
        policy, _ = asked(url, *map(pictured, range(3)))
    found = policy.metrics()
    assert (found["rounds"], found["observations"], found["batch"]) == (1, 3, {"mean": 3.0, "max": 3})
    assert found["latency_ms"]["median"] > 0
    assert found["model_ms"]["median"] == 6.0
    assert found["bytes_sent"] > 3 * 2 * 224 * 224 * 3


def test_broken_connection_is_reopened_and_the_request_sent_again():
    calls = itertools.count()

    def shaky(message):
        if next(calls) == 1:
            raise ConnectionError
        return first_pixel(message)

    with openpi_like(shaky) as url:
        policy, chunks = asked(url, *map(pictured, range(3)))
    assert [chunk.actions[0, 0] for chunk in chunks] == [0, 1, 2]
    assert policy.metrics()["connections"] == 2


def test_server_that_always_closes_the_connection_is_an_error():
    def gone(message):
        raise ConnectionError

    with openpi_like(gone) as url, pytest.raises(PolicyError, match="closed the connection 3 times in a row"):
        asked(url, pictured())


def test_server_without_response_is_a_timeout():
    over = threading.Event()
    with openpi_like(lambda message: over.wait(10) and {}) as url:
        with pytest.raises(PolicyError, match=r"did not respond within 0\.2 s"):
            asked(url, pictured(), request_timeout_s=0.2)
        over.set()


def test_missing_server_error_names_the_command_to_start_one():
    with pytest.raises(PolicyError, match=r"no server responds at .* start one with `nora-bench serve"):
        load(f"ws://127.0.0.1:{free_port()}", {"connect_timeout_s": "0.2"})


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("Traceback ...\nValueError: no such key", "failed: ValueError: no such key"),
        ({"action": [1.0]}, "responded without `actions` .it has action"),
        ({"actions": ["left"]}, "actions that are no array of numbers"),
        ([1], "responded with a list"),
        ({"actions": np.zeros((5, 7))}, r"must be \[steps, 1\], not \[5, 7\]; its model was made for another robot"),
        ({"actions": np.full((5, 1), np.nan)}, "must be finite"),
        ({"actions": np.zeros((1, 5, 1))}, r"not \[1, 5, 1\]"),
        (b"\xc1", "responded with not a message"),
    ],
)
def test_invalid_response_is_rejected(answer, says):
    with openpi_like(lambda message: answer) as url, pytest.raises(PolicyError, match=says):
        asked(url, pictured())


def test_suite_without_liberos_state_is_rejected():
    with (
        openpi_like(first_pixel) as url,
        pytest.raises(PolicyError, match="observes no eef_pos, eef_quat, gripper_qpos; try state=false"),
    ):
        asked(url, observation(images=pictured().env_observation.images))


@pytest.mark.parametrize("address", ["http://gpu:8000", "ws://"])
def test_address_without_server_is_rejected(address):
    with pytest.raises(PolicyError, match="a server is named as ws://host:port"):
        load(address, {})


def test_unknown_argument_is_rejected_before_connecting():
    with pytest.raises(PolicyRequestError, match="did you mean state"):
        load("ws://127.0.0.1:1", {"sate": "false"})


@pytest.mark.parametrize("seed", range(5))
def test_state_survives_a_round_trip(seed):
    quat = np.random.default_rng(seed).normal(size=4)
    quat /= np.linalg.norm(quat)
    found = messages.libero_proprio(messages.libero_state({**PROPRIO, "eef_quat": quat}))
    assert found["eef_quat"] == pytest.approx(quat)
    assert found["gripper_qpos"] == pytest.approx(PROPRIO["gripper_qpos"])


def test_exact_message_survives_a_round_trip():
    one = pictured(number=3, decision=2)
    question = messages.read_exact(messages.exact(one, client="me", more=1, ended=("a",)))
    assert (question.client, question.more, question.ended) == ("me", 1, ("a",))
    found = question.observation
    assert found is not None
    assert (found.spec, found.decision, found.step, found.instruction) == (one.spec, 2, 2, "go home")
    assert isinstance(found.env_observation, EnvObservation)
    assert found.env_observation.proprio["eef_quat"].tobytes() == PROPRIO["eef_quat"].tobytes()


def test_committed_actions_survive_a_round_trip():
    late = replace(pictured(number=3, decision=2), committed=np.arange(14.0).reshape(2, 7))
    found = messages.read_exact(messages.exact(late, client="me")).observation
    assert found is not None and found.committed is not None
    assert found.committed.tolist() == late.committed.tolist()
    plain = messages.read_exact(messages.exact(pictured(number=3, decision=2), client="me")).observation
    assert plain is not None and plain.committed is None


@pytest.mark.parametrize("committed", [[[0.0]], np.zeros(7), "none"])
def test_committed_actions_of_another_shape_are_rejected(committed):
    message = messages.exact(pictured(number=3, decision=2), client="me")
    message["nora_bench"]["observation"]["committed"] = committed
    with pytest.raises(ValueError, match="committed"):
        messages.read_exact(message)
