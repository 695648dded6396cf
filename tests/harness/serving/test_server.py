"""Our server: asked by our client, by openpi's own, and by those who should not."""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import Future

import numpy as np
import pytest
from fakes import Stagger, Walk, Wrong
from nora_bench.envs import protocols
from nora_bench.envs.base import ObservationSpec
from nora_bench.envs.errors import InputError, PolicyError
from nora_bench.harness.serving.batching import ServerStopping
from nora_bench.harness.serving.server import Address
from nora_bench.policies.base import ActionChunk, BasePolicy, EpisodeStateLost, PolicyContext
from nora_bench.policies.registry import load
from nora_bench.policies.remote import codec, messages
from servers import TOY, free_port, observation, served

pytest.importorskip("websockets", reason="pip install 'nora-bench[remote]'")


IMAGE = np.full((224, 224, 3), 7, np.uint8)
OPENPI = {
    "observation/image": IMAGE,
    "observation/wrist_image": IMAGE,
    "observation/state": np.array([0, 0, 0.5, 0, 0, 0, 0, 0]),
    "prompt": "go home",
}
LONG = 120
"""Seconds; nothing that works takes so long, on however busy a machine."""


class Diary(BasePolicy):
    """Answers how often it has been asked in this episode, and notes the sizes of its batches."""

    def __init__(self):
        self.count, self.sizes = {}, []

    def act(self, observations):
        self.sizes.append(len(observations))
        for one in observations:
            self.count[one.key] = 0 if one.decision == 0 else self.count[one.key] + 1
        return [ActionChunk(np.full((1, 1), float(self.count[one.key]))) for one in observations]

    def end_episode(self, key):
        del self.count[key]

    def fingerprint(self):
        return {"weights": "none"}


def client(url, **args):
    policy = load(url, args)
    policy.setup(TOY)
    return policy


@pytest.mark.parametrize("policy", ["fakes:Stagger", "fakes:Walk"])
def test_served_policy_gives_the_same_episodes_as_a_local_one(bench, tmp_path, policy):
    import fakes

    local = bench("--episodes", 3, policy=policy, out="local")
    with served(getattr(fakes, policy.partition(":")[2])(), tmp_path) as (url, _):
        remote = bench("--episodes", 3, "--workers", 3, policy=url, out="remote")
    assert remote.code == 0
    assert remote.trajectories == local.trajectories
    assert remote.run["policy"]["needs"] == local.run["policy"]["needs"]


def test_run_stores_the_servers_declaration_and_latency(bench, tmp_path):
    with served(Walk(), tmp_path) as (url, _):
        run = bench("--episodes", 1, policy=url).run
    server = run["policy"]["fingerprint"]["server"]
    assert (server["weights"], server["declared"]["fingerprint"]) == ("unknown", {"class": "fakes:Walk"})
    used = run["utilisation"]["policy"]
    assert used["observations"] >= used["rounds"] > 0
    assert used["latency_ms"]["median"] > 0


def test_requests_are_batched(tmp_path):
    policy = Diary()
    with served(policy, tmp_path) as (url, _):
        client(url).act([observation(number) for number in range(5)])
    assert policy.sizes == [5]


def test_batch_above_the_limit_is_split(tmp_path):
    policy = Diary()
    with served(policy, tmp_path, max_batch=2) as (url, _):
        client(url).act([observation(number) for number in range(5)])
    assert policy.sizes == [2, 2, 1]


def test_state_of_ended_episodes_is_dropped(tmp_path):
    policy = Diary()
    with served(policy, tmp_path) as (url, _):
        asking = client(url)
        asking.act([observation(1), observation(2)])
        asking.end_episode(observation(1).key)
        asking.act([observation(2, 1)])
    assert [*policy.count] == [observation(2).key]


def test_repeated_request_after_a_broken_connection_changes_nothing(tmp_path):
    with served(Diary(), tmp_path) as (url, _):
        asking = client(url)
        asking.act([observation(1)])
        asking.act([observation(1, 1)])
        asking._connection.close()
        (chunk,) = asking.act([observation(1, 1)])
        assert chunk.actions[0, 0] == 1
        assert asking.act([observation(1, 2)])[0].actions[0, 0] == 2


def test_restarted_server_reports_lost_episodes(tmp_path):
    port = free_port()
    with served(Diary(), tmp_path, port=port) as (url, _):
        asking = client(url)
        asking.act([observation(1), observation(2)])
    with served(Diary(), tmp_path, port=port):
        with pytest.raises(EpisodeStateLost) as caught:
            asking.act([observation(1, 1), observation(3)])
        assert [*caught.value.causes] == [observation(1).key]
        assert asking.act([observation(1), observation(3)])


def test_run_survives_a_restart_of_its_server(bench, tmp_path):
    """The server stops in the middle of an episode and comes back: the episode is played again."""
    calm = bench("--episodes", 3, out="calm")
    up, begun, stopping, ended, port = *(threading.Event() for _ in range(4)), free_port()

    class Stopped(Walk):
        def act(self, observations):
            if observations[0].decision == 1:
                begun.set()
                stopping.wait(LONG)
            return super().act(observations)

    def serve_twice():
        with served(Stopped(), tmp_path, port=port, over=stopping):
            up.set()
            begun.wait(LONG)
        with served(Walk(), tmp_path, port=port):
            ended.wait(LONG)

    server = threading.Thread(target=serve_twice)
    server.start()
    assert up.wait(LONG)
    try:
        played = bench("--episodes", 3, "--workers", 1, policy=f"ws://127.0.0.1:{port}", out="remote")
    finally:
        ended.set()
        server.join()
    assert played.code == 0, played.err
    assert played.trajectories == calm.trajectories
    assert "the server does not know how this episode began; retry 1 of" in played.out


def test_second_client_of_an_episode_is_rejected(tmp_path):
    with served(Diary(), tmp_path) as (url, _):
        first, second = client(url), client(url)
        first.act([observation(1)])
        second.act([observation(1)])
        with pytest.raises(EpisodeStateLost):
            first.act([observation(1, 1)])


def test_policy_failure_is_reported_without_traceback_and_serving_continues(tmp_path):
    with served(Wrong("raise"), tmp_path) as (url, _):
        for _ in range(2):
            with pytest.raises(PolicyError, match=r"raised in act: RuntimeError: out of ideas$"):
                client(url).act([observation()])


def test_server_for_another_protocol_is_rejected(tmp_path, bench):
    with served(Walk(), tmp_path) as (url, _):
        played = bench("--episodes", 1, "--protocol", "toy/last-step", policy=url)
    assert played.code == 4
    assert "serves toy/plain v1 (1 numbers per action), and this run is of toy/last-step" in played.err


# openpi's own client


@pytest.fixture(scope="module")
def openpi_client(tmp_path_factory):
    """The package from PyPI. Its metadata asks for numpy 1, which its code does not need, so it is installed alone."""
    try:
        return importlib.import_module("openpi_client.websocket_client_policy")
    except ImportError:
        folder = tmp_path_factory.mktemp("openpi")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "openpi-client==0.1.2"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("openpi-client cannot be had: pip install --no-deps openpi-client")
    sys.path.append(str(folder))
    return importlib.import_module("openpi_client.websocket_client_policy")


def test_openpi_client_receives_actions(openpi_client, tmp_path):
    with served(Stagger(), tmp_path) as (url, _):
        reference = openpi_client.WebsocketClientPolicy(url)
        assert reference.get_server_metadata()["nora_bench"]["protocol"] == "toy/plain"
        assert reference.get_server_metadata()["nora_bench"]["suites"] == ["toy"]
        with pytest.raises(RuntimeError, match="raised in act: KeyError: 'position'"):
            reference.infer(OPENPI)


def test_openpi_client_drives_a_nora_bench_policy(openpi_client, tmp_path):
    class Follow(BasePolicy):
        def act_one(self, observation):
            seen = observation.env_observation.images["primary"][0, 0, 0] + observation.env_observation.proprio["eef_pos"][2]
            return ActionChunk(np.full((5, 1), seen + observation.decision))

    with served(Follow(), tmp_path) as (url, _):
        reference = openpi_client.WebsocketClientPolicy(url)
        answers = [reference.infer(OPENPI) for _ in range(2)]
    assert [answer["actions"].tolist() for answer in answers] == [[[7.5]] * 5, [[8.5]] * 5]
    assert answers[0]["server_timing"]["infer_ms"] > 0


@pytest.mark.parametrize("shape", [(256, 256), (512, 640), (480, 640), (30, 50), (225, 224)])
def test_images_are_resized_like_openpi_client_does(openpi_client, shape):
    reference = importlib.import_module("openpi_client.image_tools")
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.array_equal(messages.padded(image, 224), reference.resize_with_pad(image, 224, 224))


class Shown(BasePolicy):
    """Notes what it was shown."""

    observation_spec = ObservationSpec(cameras=("primary", "wrist"), proprio=True)

    def __init__(self):
        self.seen = []

    def act_one(self, observation):
        self.seen.append(observation)
        return ActionChunk(np.zeros((1, self.context.action_size)))


@pytest.mark.parametrize(
    ("message", "lacks"),
    [
        (
            {"image": IMAGE, "wrist_image": IMAGE, "state": np.zeros(8), "prompt": ""},
            "`observation/image`, `observation/wrist",
        ),
        ({"observation.images.image": IMAGE, "observation.state": np.zeros(8), "task": ""}, "`observation/state`, `prompt`"),
        ({name: part for name, part in OPENPI.items() if name != "prompt"}, "`prompt`"),
        ({}, "`observation/image`"),
    ],
)
def test_observation_with_other_names_is_rejected_with_both_lists(openpi_client, tmp_path, message, lacks):
    with served(Shown(), tmp_path) as (url, _):
        reference = openpi_client.WebsocketClientPolicy(url)
        with pytest.raises(RuntimeError, match=f"it lacks .*{lacks}") as caught:
            reference.infer(message)
    assert all(f"`{name}`" in str(caught.value) for name in message)


@pytest.mark.parametrize(
    ("suites", "added", "prompt", "suite"),
    [
        (("libero_goal",), {}, "go home", "libero_goal"),
        (("libero_goal", "libero_object"), {"suite": "libero_goal"}, "go home", "libero_goal"),
        (("libero_goal", "libero_object"), {}, "pick up the milk and place it in the basket", "libero_object"),
    ],
    ids=["the only one", "named", "by its task"],
)
def test_policy_receives_the_suite_of_an_openpi_observation(openpi_client, tmp_path, suites, added, prompt, suite):
    policy = Shown()
    with served(policy, tmp_path, context=PolicyContext(protocols.get("libero/openvla"), suites, 7)) as (url, _):
        openpi_client.WebsocketClientPolicy(url).infer({**OPENPI, **added, "prompt": prompt})
    assert [one.spec.suite for one in policy.seen] == [suite]


@pytest.mark.parametrize("added", [{}, {"suite": "libero_10"}, {"suite": np.zeros(3)}], ids=["unnamed", "another", "no name"])
def test_observation_of_an_unknown_suite_is_rejected(openpi_client, tmp_path, added):
    suites = ("libero_goal", "libero_object")
    with served(Shown(), tmp_path, context=PolicyContext(protocols.get("libero/openvla"), suites, 7)) as (url, _):
        reference = openpi_client.WebsocketClientPolicy(url)
        with pytest.raises(RuntimeError, match=r"serve.*libero_goal, libero_object"):
            reference.infer({**OPENPI, **added})


def test_openpi_episode_has_a_key_of_its_own(openpi_client, tmp_path):
    policy = Shown()
    with served(policy, tmp_path) as (url, _):
        openpi_client.WebsocketClientPolicy(url).infer(OPENPI)
        images = {"primary": IMAGE, "wrist": IMAGE}
        for number in range(2):
            assert client(url).act([observation(number, images=images)])
    assert len({one.key for one in policy.seen}) == 3


def test_nano_policy_answers_openpi_client(openpi_client, tmp_path):
    pytest.importorskip("transformers", reason="pip install 'nora-bench[nora]'")
    context = PolicyContext(protocols.get("libero/openvla"), ("libero_object",), 7)
    with served(load("nora-1.5-nano", {}), tmp_path, context=context) as (url, _):
        answer = openpi_client.WebsocketClientPolicy(url).infer(OPENPI)
    assert answer["actions"].shape[1] == 7


def test_run_of_a_suite_that_is_not_served_is_rejected(tmp_path):
    context = PolicyContext(protocols.get("libero/openvla"), ("libero_goal",), 7)
    with served(Shown(), tmp_path, context=context) as (url, _):
        asking = load(url, {})
        with pytest.raises(PolicyError, match="serves libero_goal, and this run is of libero_object; start it with --suite"):
            asking.setup(PolicyContext(context.protocol, ("libero_object",), 7))


# Those who should not


def test_host_beyond_this_machine_requires_a_token(cli):
    ended = cli("serve", "--policy", "zero", "--host", "0.0.0.0")
    assert ended.code == 2
    assert "a token is required: set NORA_BENCH_TOKEN" in ended.err
    with pytest.raises(InputError):
        Address("gpu.example.org")
    assert Address("gpu.example.org", token="secret")


@pytest.mark.parametrize("token", [None, "wrong"])
def test_request_without_token_is_rejected(tmp_path, monkeypatch, token):
    with served(Walk(), tmp_path, token="secret") as (url, _):
        monkeypatch.setenv("NORA_BENCH_TOKEN", "secret")
        assert client(url)
        monkeypatch.delenv("NORA_BENCH_TOKEN") if token is None else monkeypatch.setenv("NORA_BENCH_TOKEN", token)
        with pytest.raises(PolicyError, match="requires a token: set NORA_BENCH_TOKEN"):
            client(url)


def test_health_needs_no_token(tmp_path):
    with served(Walk(), tmp_path, token="secret") as (url, _):
        for path in ("healthz", "health"):
            with urllib.request.urlopen(f"{url.replace('ws', 'http')}/{path}", timeout=5) as answer:
                assert json.load(answer) == {"status": "ok"}


def test_request_of_a_web_page_is_rejected(tmp_path):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with served(Walk(), tmp_path) as (url, _), pytest.raises(InvalidStatus), connect(url, origin="http://evil.example"):
        pass


def spec(**changes):
    return {"suite": "toy", "task_id": 0, "init_state": 0, "seed": 0, "protocol": "toy/plain", "variant": "", **changes}


def block(**changes):
    view = {"images": {}, "proprio": {}, "privileged": {}}
    shown = {"spec": spec(), "decision": 0, "step": 0, "instruction": "", "view": view, **changes}
    return codec.pack({"nora_bench": {"client": "me", "more": 0, "forget": [], "observation": shown}})


BAD = {
    "garbage": b"\xc1",
    "no map": codec.pack([1]),
    "another prompt": codec.pack({"prompt": 3}),
    "an image of floats": codec.pack({**OPENPI, "observation/image": np.zeros((8, 8, 3))}),
    "a short state": codec.pack({**OPENPI, "observation/state": np.zeros(3)}),
    "an empty block": codec.pack({"nora_bench": {}}),
    "no number": block(spec=spec(task_id="zero")),
    "a negative decision": block(decision=-1),
    "an image in a block": block(view={"images": {"primary": 3}, "proprio": {}, "privileged": {}}),
    "endless": codec.pack({"nora_bench": {"client": "me", "more": 10**9, "forget": [], "observation": {}}}),
    "text": "hello",
}


@pytest.mark.parametrize("message", BAD.values(), ids=BAD)
def test_invalid_request_is_rejected_with_a_reason_and_serving_continues(tmp_path, message):
    from websockets.sync.client import connect

    with served(Walk(), tmp_path) as (url, _):
        with connect(url) as stranger:
            stranger.recv(timeout=5)
            stranger.send(message)
            assert isinstance(stranger.recv(timeout=5), str)
        assert client(url).act([observation(proprio={"position": np.ones(1)})])


def test_message_above_the_limit_ends_the_connection(tmp_path, monkeypatch):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    monkeypatch.setattr(codec, "MAX_MESSAGE", 1000)
    with served(Walk(), tmp_path) as (url, _), connect(url) as stranger:
        stranger.recv(timeout=5)
        stranger.send(bytes(2000))
        with pytest.raises(ConnectionClosed):
            stranger.recv(timeout=5)


def test_request_to_a_stopping_server_is_rejected(tmp_path):
    with served(Diary(), tmp_path) as (_, batcher):
        pass
    with pytest.raises(Exception, match="the server is stopping"):
        batcher.submit("me", [observation()]).result(timeout=5)


def test_waiting_client_is_disconnected_when_the_server_stops(tmp_path):
    """A text would be the policy's failure, which ends a run; after a hang-up the client asks again."""
    from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
    from websockets.sync.client import connect

    with served(Diary(), tmp_path) as (url, batcher):
        batcher.submit = lambda client, observations: refused()
        with connect(url) as asking:
            asking.recv(timeout=5)
            asking.send(codec.pack({"prompt": "go home"}))
            with pytest.raises((ConnectionClosedError, ConnectionClosedOK)) as caught:
                asking.recv(timeout=5)
    assert caught.value.rcvd.code == 1001


def refused():
    future = Future()
    future.set_exception(ServerStopping("the server is stopping"))
    return future


# The command


def test_serve_command_runs_until_it_is_stopped(tmp_path):
    command = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", "serve", "--suite", "fakes:toy"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NORA_BENCH_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [*command, "--policy", "fakes:Walk", "--policy-arg", "chunk=3", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("fakes:Walk for toy/plain v1 at ws://127.0.0.1:")
        (chunk,) = client(line.split()[-1]).act([observation(proprio={"position": np.ones(1)})])
        assert chunk.actions.shape == (3, 1)
        process.send_signal(signal.SIGINT)
        assert "'observations': 1" in process.communicate(timeout=20)[0]
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_port_in_use_is_named_in_the_error(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    with served(Walk(), tmp_path) as (url, _):
        port = url.rpartition(":")[2]
        ended = cli("serve", "--policy", "zero", "--suite", "fakes:toy", "--port", port)
    assert ended.code == 3
    assert f"cannot listen on 127.0.0.1:{port}" in ended.err


def test_run_with_a_server_has_a_folder_named_after_it(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    with served(Walk(), tmp_path) as (url, _):
        ended = cli("run", "--suite", "fakes:toy", "--episodes", 1, "--policy", url)
    assert ended.code == 0
    assert (tmp_path / "runs" / f"toy-ws-127.0.0.1-{url.rpartition(':')[2]}" / "run.json").exists()
