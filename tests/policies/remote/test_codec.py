import msgpack
import numpy as np
import pytest
from nora_bench.policies.remote import codec
from nora_bench.policies.remote.codec import CodecError

ARRAYS = [
    np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
    np.array([[0.1, -np.inf]], np.float64),
    np.zeros((0, 7), np.float32),
    np.array(3),
    np.array([True, False]),
]


@pytest.mark.parametrize("text_names", [False, True])
@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_an_array_arrives_as_it_was_sent(array, text_names):
    (found,) = codec.unpack(codec.pack([array], text_names=text_names))
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_bytes_equal_those_of_openpis_codec():
    theirs = pytest.importorskip("openpi_client.msgpack_numpy", reason="pip install --no-deps openpi-client")
    message = {"a": ARRAYS[0], "b": np.float32(0.5), "c": [1, "x", None]}
    assert codec.pack(message) == theirs.packb(message)
    assert np.array_equal(theirs.unpackb(codec.pack(message))["a"], ARRAYS[0])


def test_arrays_are_read_by_vla_evals_codec():
    theirs = pytest.importorskip("vla_eval.protocol.numpy_codec", reason="pip install 'nora-bench[dev]'")
    found = msgpack.unpackb(codec.pack(ARRAYS[0], text_names=True), object_hook=theirs.decode_ndarray)
    assert np.array_equal(found, ARRAYS[0])


@pytest.mark.parametrize(
    "value", [np.array([object()]), np.zeros(2, "i4,f4"), np.zeros(1, complex), object(), {1}, np.array(["a"])]
)
def test_object_that_is_not_plain_is_not_sent(value):
    with pytest.raises(CodecError):
        codec.pack(value)


def array(data=bytes(8), dtype="<f8", shape=(1,)):
    return msgpack.packb({"__ndarray__": True, "data": data, "dtype": dtype, "shape": shape})


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        array()[:-1],
        array(dtype="|O"),
        array(dtype="V8"),
        array(dtype="i4,i4"),
        array(dtype="nonsense"),
        array(dtype=3),
        array(shape=[-1]),
        array(shape=[2]),
        array(shape="8"),
        array(data="eight"),
        msgpack.packb({"__npgeneric__": True, "data": "x", "dtype": "<f8"}),
        b"\x91" * 5000 + b"\xc0",
        "a traceback",
    ],
    ids=str,
)
def test_invalid_bytes_are_rejected(data):
    with pytest.raises(CodecError):
        codec.unpack(data)


def test_a_message_above_the_limit_is_not_sent(monkeypatch):
    monkeypatch.setattr(codec, "MAX_MESSAGE", 1000)
    with pytest.raises(CodecError, match="above the limit"):
        codec.pack(np.zeros(1001, np.uint8))
