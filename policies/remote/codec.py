"""Messages of remote policies as bytes: msgpack with openpi's and vla-eval's way of writing arrays.

An array is a map with a marker, `data`, `dtype` and `shape`; openpi writes the names as bytes, vla-eval as text. Only
arrays of plain numbers pass, in and out: no pickle, no object arrays, no structured ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

MAX_MESSAGE = 64 << 20
"""Bytes of one message, either way. Two cameras at 1024 pixels are 6 MiB."""

MAX_ITEMS = 1 << 16
"""Items of one list or map: room is made for as many as a message claims, before the first is read."""

_NUMERIC = frozenset("biuf")


class CodecError(ValueError):
    """Bytes that are no message, or a value that cannot be sent."""


def pack(message: Any, *, text_names: bool = False) -> bytes:
    """The message as bytes; `text_names` as vla-eval writes arrays. Raises CodecError for what does not pass."""
    try:
        data = bytes(msgpack.Packer(default=_text_named if text_names else _byte_named).pack(message))
    except (TypeError, ValueError, OverflowError) as error:
        raise CodecError(f"this cannot be sent: {error}") from None
    if len(data) > MAX_MESSAGE:
        raise CodecError(f"a message of {len(data) >> 20} MiB is above the limit of {MAX_MESSAGE >> 20} MiB")
    return data


def unpack(data: bytes | str) -> Any:
    """The message in bytes of either kind; arrays arrive read-only. Raises CodecError for anything else."""
    if isinstance(data, str):
        raise CodecError(f"text instead of a message: {data[:200]}")
    try:
        return msgpack.unpackb(
            data, object_hook=_read, ext_hook=_refuse, timestamp=1, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS
        )
    except CodecError:
        raise
    except Exception as error:  # msgpack has no common base class for what malformed input raises
        raise CodecError(f"not a message: {type(error).__name__}: {error}") from None


def _refuse(code: int, _: bytes) -> Any:
    raise CodecError(f"not a message: a value of unknown kind {code}")


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, np.generic):
        return {"__npgeneric__": True, "data": value.item(), "dtype": _numeric(value.dtype).str}
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} is not a plain value")
    return {"__ndarray__": True, "data": value.tobytes(), "dtype": _numeric(value.dtype).str, "shape": list(value.shape)}


def _byte_named(value: Any) -> dict[bytes, Any]:
    return {name.encode(): part for name, part in _fields(value).items()}


def _text_named(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else _fields(value)


def _read(fields: dict[Any, Any]) -> Any:
    for name in ("__ndarray__", "__npgeneric__"):
        for kind in (name.encode(), name):
            if kind in fields:
                named = {key.decode() if isinstance(key, bytes) else key: value for key, value in fields.items()}
                return _array(named) if name == "__ndarray__" else _scalar(named)
    return fields


def _array(fields: Mapping[str, Any]) -> np.ndarray:
    dtype, data, shape = _dtype(fields.get("dtype")), fields.get("data"), fields.get("shape")
    if not isinstance(data, bytes) or not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise CodecError("not a message: an array without data or shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise CodecError(f"not a message: {len(data)} bytes for an array of {dtype}, shape {shape}")
    return np.frombuffer(data, dtype).reshape(shape)


def _scalar(fields: Mapping[str, Any]) -> Any:
    value = fields.get("data")
    if not isinstance(value, bool | int | float):
        raise CodecError(f"not a message: a number that is {type(value).__name__}")
    return _dtype(fields.get("dtype")).type(value).item()


def _dtype(name: Any) -> np.dtype:
    try:
        return _numeric(np.dtype(name if isinstance(name, str) else ""))
    except TypeError:
        raise CodecError(f"not a message: an array of {name!r}") from None


def _numeric(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in _NUMERIC or dtype.itemsize > 8:
        raise CodecError(f"arrays of {dtype} are not plain numbers")
    return dtype
