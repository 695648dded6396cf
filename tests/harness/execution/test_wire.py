import socket
import struct
import threading

import msgpack
import numpy as np
import pytest
from nora_bench.harness.execution import wire
from nora_bench.harness.execution.wire import Channel, WireError, WorkerClosed, WorkerTimeout, decode, encode

PACK = msgpack.Packer().pack


@pytest.fixture
def ends():
    """Two connected channels."""
    pair = [Channel(end) for end in socket.socketpair()]
    yield pair
    for channel in pair:
        channel.close()


def message_of(**observation):
    return {"type": "observation", "step": 3, "observation": observation}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
        np.array([[0.1, -0.0, 1e-300]]),
        np.array(3.5, dtype=np.float32),
        np.zeros((0, 7)),
        np.array([True, False]),
        np.arange(6, dtype=">i4"),
        np.arange(10)[::2],
    ],
    ids=["image", "float64", "scalar", "empty", "bool", "big-endian", "strided"],
)
def test_arrays_round_trip(array):
    arrived = decode(encode(message_of(a=array))[4:])["observation"]["a"]
    np.testing.assert_array_equal(arrived, array)
    assert arrived.dtype == array.dtype.newbyteorder("=")
    assert arrived.shape == array.shape


def test_plain_values_round_trip():
    message = message_of(text="grüße", number=2**40, real=0.1, nothing=None, nested={"a": [1, {"b": False}]})
    assert decode(encode(message)[4:]) == message


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, np.array([object()]), np.array(["text"]), np.array([1j]), np.array([(1, 2)], dtype="i4,i4")],
    ids=["object", "set", "object array", "text array", "complex array", "record array"],
)
def test_sender_rejects_values_that_are_not_plain(value):
    with pytest.raises(WireError, match="cannot be sent"):
        encode(message_of(a=value))


def test_rejected_message_does_not_affect_the_next():
    with pytest.raises(WireError):
        encode(message_of(a=1, b=object()))
    assert decode(encode(message_of(a=2))[4:]) == message_of(a=2)


def frame(body):
    return struct.pack(">I", len(body)) + body


def array_of(head, data=b""):
    return PACK({"type": "observation", "a": msgpack.ExtType(1, bytes([len(head)]) + head + data)})


GARBAGE = {
    "text": b"hello",
    "no map": PACK([1, 2]),
    "no type": PACK({"step": 1}),
    "unknown type": PACK({"type": "exec"}),
    "truncated": PACK({"type": "observation", "text": "hello"})[:-2],
    "trailing bytes": PACK({"type": "observation"}) + b"\x01",
    "unknown extension": PACK({"type": "observation", "a": msgpack.ExtType(7, b"x")}),
    "object array": array_of(b"|O 1", b"\0" * 8),
    "too few bytes": array_of(b"<f8 100", b"\0" * 8),
    "negative size": array_of(b"<f8 -1 -1", b"\0" * 8),
    "no dtype": array_of(b""),
    "nonsense dtype": array_of(b"<q9 1", b"\0"),
    "deep nesting": b"\x91" * 5000,
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_receiver_rejects_garbage(ends, body):
    ends[0].socket.sendall(frame(body))
    with pytest.raises(WireError):
        ends[1].receive(5)


def test_receiver_rejects_a_frame_above_the_limit_before_reading_it(ends):
    ends[0].socket.sendall(struct.pack(">I", wire.MAX_FRAME + 1))
    with pytest.raises(WireError, match="limit"):
        ends[1].receive(5)


def test_sender_rejects_a_message_above_the_limit():
    with pytest.raises(WireError, match="above the limit"):
        encode(message_of(a=np.zeros(wire.MAX_FRAME + 1, np.uint8)))


def test_message_larger_than_the_socket_buffer_passes(ends):
    image = np.arange(3 * 1024 * 1024, dtype=np.uint32).astype(np.uint8)
    sender = threading.Thread(target=ends[0].send, args=(message_of(a=image),))
    sender.start()
    np.testing.assert_array_equal(ends[1].receive(10)["observation"]["a"], image)
    sender.join()


def test_messages_in_one_packet_are_taken_one_by_one(ends):
    ends[0].socket.sendall(encode(message_of(a=1)) + encode(message_of(a=2))[:-3])
    ends[1].feed()
    assert ends[1].take() == message_of(a=1)
    assert ends[1].take() is None


def test_receive_times_out(ends):
    with pytest.raises(WorkerTimeout, match=r"within 0\.05 s"):
        ends[0].receive(0.05)


def test_receive_times_out_after_half_a_message(ends):
    ends[0].socket.sendall(encode(message_of(a=1))[:-1])
    with pytest.raises(WorkerTimeout):
        ends[1].receive(0.05)


def test_send_times_out_when_the_peer_reads_nothing():
    left, right = socket.socketpair()
    with pytest.raises(WorkerTimeout, match="accepted no observation message"):
        Channel(left, send_deadline_s=0.05).send(message_of(a=np.zeros(1 << 22, np.uint8)))
    right.close()


def test_receive_raises_when_the_peer_closes(ends):
    ends[0].close()
    with pytest.raises(WorkerClosed):
        ends[1].receive(5)


def test_send_raises_when_the_peer_has_closed(ends):
    ends[1].close()
    with pytest.raises(WorkerClosed):
        ends[0].send(message_of(a=1))
