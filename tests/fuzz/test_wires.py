"""What another process or machine sends, as a server and as a client."""

import socket

import msgpack
import numpy as np
import pytest
from hypothesis import given, strategies as st
from nora_bench.envs.base import ObservationSpec
from nora_bench.harness.execution import wire
from nora_bench.harness.serving.server import suite_of
from nora_bench.policies.remote import codec, messages
from nora_bench.policies.remote.connection import Connection
from nora_bench.policies.remote.openpi import OpenpiPolicy, ServedPolicy
from nora_bench.policies.remote.vla_eval import VlaEvalPolicy
from servers import TOY, observation

from .mutations import INTEGERS, damaged, values
from .reading import reads

IMAGE = np.zeros((4, 4, 3), np.uint8)
OBSERVATION = {
    "type": "observation",
    "images": {"primary": IMAGE},
    "state": np.arange(5.0),
    "step": 3,
    "task": ["push", None, 2.5],
}
FRAME = wire.encode(OBSERVATION)[4:]
QUESTION = messages.exact(observation(images={"primary": IMAGE}), client="me", ended=("a",))
OPENPI = {"observation/image": IMAGE, "observation/state": np.arange(8.0), "prompt": "push"}
ANSWER = {"actions": np.zeros((5, 1)), "status": "ok", "server_timing": {"infer_ms": 3.0}}
NEEDS = {"cameras": ["primary"], "image_size": None, "proprio": False, "privileged": False}
GREETING = {
    messages.BLOCK: {
        "policy": "zero",
        "args": {},
        "needs": NEEDS,
        "stochastic": False,
        "marks": [],
        "fingerprint": {"weights": "x"},
        "protocol": "toy/plain",
        "protocol_version": 1,
        "suites": ["toy"],
        "action_size": 1,
        "versions": {},
    }
}
PROPRIO = {"eef_pos": np.zeros(3), "eef_quat": np.array([0.0, 0, 0, 1]), "gripper_qpos": np.zeros(2)}
HELLO = {"protocol_version": 1, "observation_params": {"send_wrist_image": True}, "action_spec": {"position": {"format": "raw"}}}


def packed(valid):
    """Messages made of a valid one: changed in places, or damaged as bytes."""
    shaped = values(valid).map(lambda value: _pack(value, valid))
    return st.one_of(shaped, damaged(codec.pack(valid)), damaged(codec.pack(valid, text_names=True)))


def _pack(value, valid):
    try:
        return msgpack.packb(value, default=_array, unicode_errors="surrogatepass")
    except (ValueError, OverflowError, TypeError):  # more than the format can hold
        return codec.pack(valid)[:-1]


def _array(value):
    if not isinstance(value, np.ndarray):
        raise TypeError
    return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": list(value.shape)}


DTYPES = ["<f8", "|u1", "O", "V8", "U9", "<c16", "i4,f4", "<f16", "datetime64[s]", "", "x" * 99, 7, None]


@st.composite
def arrays(draw):
    """What claims to be an array, in the words of openpi's and vla-eval's codecs."""
    dtype = draw(st.sampled_from(DTYPES))
    sizes = st.sampled_from([*INTEGERS, -1, 1.5, "3", None])
    fields = {"dtype": dtype, "shape": draw(st.lists(sizes, max_size=40)), "data": draw(st.binary(max_size=64))}
    marker = draw(st.sampled_from(["__ndarray__", "__npgeneric__", b"__ndarray__", b"__npgeneric__", b"\xff"]))
    fields = {name.encode() if draw(st.booleans()) else name: value for name, value in fields.items()}
    return {marker: True, **fields}


@given(damaged(FRAME))
def test_worker_frame_is_a_message_or_rejected(body):
    reads("worker frames", lambda: wire.decode(body), wire.WireError)


@given(st.lists(damaged(wire.encode(OBSERVATION)), min_size=1, max_size=3))
def test_worker_stream_is_messages_or_rejected(parts):
    result, reference = socket.socketpair()
    with result, reference:
        reference.sendall(b"".join(parts)[:60_000])
        channel = wire.Channel(result)

        def read():
            channel.feed()
            while channel.take():
                pass

        reads("worker streams", read, wire.WireError)


@given(st.one_of(packed(QUESTION), packed(OPENPI), packed([1, {"a": IMAGE}]), arrays().map(msgpack.packb)))
def test_client_message_is_an_observation_or_rejected(data):
    def read():
        message = codec.unpack(data)
        if isinstance(message, dict) and messages.BLOCK in message:
            messages.read_exact(message)
        else:
            _, instruction = messages.read_openpi(message, ObservationSpec(cameras=("primary",), proprio=True))
            suite_of(message, instruction, ("toy", "other"))

    reads("websocket: questions", read, ValueError)


class Fed(Connection):
    """A link whose other end says what it was given, then the same again."""

    def __init__(self, greet, said):
        super().__init__("ws://there:1", greet, request_timeout_s=1, connect_timeout_s=1)
        self.said = said

    def _open(self):
        return self._greet(self)

    def send(self, data):
        pass

    def receive(self):
        return self.said[0] if len(self.said) == 1 else self.said.pop(0)


@given(packed(ANSWER), packed({"about": "me", "sizes": IMAGE}))
def test_openpi_server_answer_is_a_chunk_or_rejected(answer, greeting):
    def read():
        declared = codec.unpack(greeting)
        policy = OpenpiPolicy(Fed(None, [answer]), declared if isinstance(declared, dict) else {})
        policy.fingerprint()
        policy.setup(TOY)
        policy.act([observation(images={"primary": np.zeros((224, 224, 3), np.uint8)}, proprio=PROPRIO)])
        policy.metrics()

    reads("websocket: openpi's answers", read, codec.CodecError)


@given(packed(ANSWER), packed(GREETING))
def test_nora_bench_server_answer_is_a_chunk_or_rejected(answer, greeting):
    def read():
        declared = codec.unpack(greeting)
        policy = ServedPolicy(Fed(None, [answer]), declared if isinstance(declared, dict) else {})
        policy.fingerprint()
        policy.setup(TOY)
        policy.act([observation()])

    reads("websocket: our server's answers", read, codec.CodecError)


class FedVlaEval(VlaEvalPolicy):
    """A client of vla-eval whose server says what it was given."""

    def __init__(self, said):
        self.said = said
        super().__init__("ws://there:1")

    def _new_connection(self):
        link = Fed(self._greet, self.said)
        self._every.append(link)
        return link


def message(kind, payload, number):
    return {"type": kind, "payload": payload, "seq": number, "timestamp": 0.0}


@given(packed(message("hello", HELLO, 1)), packed(message("action", {"actions": np.zeros((2, 7))}, 3)))
def test_vla_eval_server_answer_is_a_chunk_or_rejected(hello, answer):
    def read():
        policy = FedVlaEval([hello, answer])
        policy.setup(TOY)
        policy.fingerprint()
        policy.act([observation(images={"primary": IMAGE, "wrist": IMAGE}, proprio=PROPRIO)])

    reads("websocket: vla-eval's answers", read)


@pytest.mark.parametrize("unpack", [wire.decode, codec.unpack], ids=["worker", "websocket"])
def test_short_message_that_claims_a_long_list_is_rejected(unpack):
    nested = b"\xdd\x00\x10\x00\x00" * 400 + bytes(1 << 20)  # lists of a million lists of a million lists
    assert not reads("lying lengths", lambda: unpack(nested), wire.WireError, codec.CodecError)


def test_value_that_is_not_plain_is_rejected():
    with pytest.raises(codec.CodecError, match="unknown kind 5"):
        codec.unpack(msgpack.packb({"a": msgpack.ExtType(5, b"x")}))
