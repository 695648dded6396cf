"""Protocol between executor and worker: length-framed msgpack over a socket pair.

A frame is four bytes of length (big endian) and one msgpack map with a `type`. The six types:

    hello         both ways, once: wire version; the executor adds the worker's setup, the worker what it has built
    reset         executor -> worker: run this episode, and abandon the one before if it has not ended; with `observe_last`,
                  `done` has the observation after the last step
    observation   worker -> executor: a decision is due; the policy's input
    chunk         executor -> worker: the actions to execute
    done          worker -> executor: the episode has ended
    error         worker -> executor: it cannot be run, with phase and cause

Messages about an episode carry its key. The executor closes the socket to end a worker. Only plain
numbers, strings, lists, maps and numeric arrays pass: no pickle, no objects, no frame above `MAX_FRAME`. Every read has a
deadline. Arrays arrive read-only.
"""

from __future__ import annotations

import math
import select
import socket
import struct
import time
from typing import Any

import msgpack
import numpy as np

VERSION = 4
"""Version of the messages; a worker of another version is refused."""
TYPES = frozenset({"hello", "reset", "observation", "chunk", "done", "error"})
MAX_FRAME = 64 << 20
"""Bytes. Two cameras at 1024 pixels are 6 MiB."""

MAX_ITEMS = 1 << 16
"""Items of one list or map: msgpack allocates as many as a frame claims before it reads the first."""

_LENGTH = struct.Struct(">I")
_ARRAY = 1
_NUMERIC = frozenset("biuf")


class WireError(Exception):
    """The peer sent something that is not a message, or the connection is unusable."""


class WorkerClosed(WireError):
    """The peer has closed the socket."""


class WorkerTimeout(WireError):
    """The peer has not answered within the deadline."""


def encode(message: dict[str, Any]) -> bytes:
    """The frame of a message. Raises WireError for contents that are not plain values, or a frame above `MAX_FRAME`."""
    try:
        body = _PACKER.pack(message)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"this cannot be sent: {error}") from None
    if len(body) > MAX_FRAME:
        raise WireError(f"a {message.get('type')} message of {len(body) >> 20} MiB is above the limit of {MAX_FRAME >> 20} MiB")
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes | bytearray | memoryview) -> dict[str, Any]:
    """The message in a frame's body. Raises WireError for anything else."""
    try:
        message = msgpack.unpackb(body, ext_hook=_decode_array, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS)
    except WireError:
        raise
    except Exception as error:  # msgpack has no common base class for what malformed input raises
        raise WireError(f"not a message: {type(error).__name__}: {error}") from None
    if not isinstance(message, dict) or message.get("type") not in TYPES:
        raise WireError("not a message: no known type")
    return message


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} is not a plain value")
    if value.dtype.kind not in _NUMERIC or value.dtype.itemsize > 8:
        raise TypeError(f"arrays of {value.dtype} are not plain numbers")
    dtype = value.dtype.newbyteorder("<")
    head = f"{dtype.str} {' '.join(map(str, value.shape))}".encode()
    flat = np.ascontiguousarray(value, dtype).reshape(-1).view(np.uint8)
    return msgpack.ExtType(_ARRAY, b"".join((bytes([len(head)]), head, flat.data)))


def _decode_array(code: int, data: bytes) -> np.ndarray:
    if code != _ARRAY or not data:
        raise WireError(f"not a message: unknown extension {code}")
    start = 1 + data[0]
    name, *sizes = data[1:start].decode().split()
    dtype, shape = np.dtype(name), tuple(map(int, sizes))
    if dtype.kind not in _NUMERIC or any(size < 0 for size in shape):
        raise WireError(f"not a message: an array of {name}, shape {shape}")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise WireError(f"not a message: {len(data) - start} bytes for an array of {name}, shape {shape}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


_PACKER = msgpack.Packer(default=_encode_array)  # one for all: allocating a packer's buffer costs more than a message


class Channel:
    """One end of a connection. `receive` waits; `feed` and `take` are for a loop over many connections."""

    def __init__(self, end: socket.socket, *, send_deadline_s: float = 30.0) -> None:
        self.socket = end
        self.send_deadline_s = send_deadline_s
        self._buffer = bytearray()
        end.setblocking(False)

    def send(self, message: dict[str, Any]) -> None:
        """Send the message. Raises WorkerTimeout, WorkerClosed."""
        rest = memoryview(encode(message))
        end = time.monotonic() + self.send_deadline_s
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, end, f"it accepted no {message['type']} message within {self.send_deadline_s:g} s")
            except OSError as error:
                raise WorkerClosed(f"the connection is closed ({error.strerror})") from None

    def receive(self, deadline_s: float) -> dict[str, Any]:
        """The next message. Raises WorkerTimeout after `deadline_s` seconds, WorkerClosed at the end of the stream."""
        end = time.monotonic() + deadline_s
        while (message := self.take()) is None:
            self._wait(select.POLLIN, end, f"no message within {deadline_s:g} s")
            self.feed()
        return message

    def feed(self) -> None:
        """Buffer what has arrived; never waits. Raises WorkerClosed at the end of the stream."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError as error:
            raise WorkerClosed(f"the connection is closed ({error.strerror})") from None
        if not data:
            raise WorkerClosed("the connection is closed")
        self._buffer += data

    def take(self) -> dict[str, Any] | None:
        """The next whole message of the buffer, or None. Raises WireError for anything else."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > MAX_FRAME:
            raise WireError(f"not a message: a frame of {length} bytes, limit {MAX_FRAME}")
        if len(self._buffer) < _LENGTH.size + length:
            return None
        with memoryview(self._buffer) as view:
            message = decode(view[_LENGTH.size : _LENGTH.size + length])
        del self._buffer[: _LENGTH.size + length]
        return message

    def _wait(self, event: int, end: float, late: str) -> None:
        poll = select.poll()
        poll.register(self.socket, event)
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise WorkerTimeout(late)

    def close(self) -> None:
        """End the connection."""
        self.socket.close()
