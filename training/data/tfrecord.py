"""TFRecord files of `tf.train.Example` messages, read without TensorFlow.

A record is its length (8 bytes, little endian), a checksum of that, the message, and a checksum of it. Checksums are not
compared: a truncated file shows in the lengths, a damaged message in its parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...envs.errors import MissingRequirementError
from ...envs.types import Array

HEADER, TRAILER = 12, 4
"""Bytes around a message: its length with a checksum, and its own checksum."""

Values = Mapping[str, Array | list[bytes]]
"""Name of a feature -> its values: numbers, or texts and encoded images."""


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """(first byte, message) of each record. Raises ValueError for a truncated file."""
    size, first = path.stat().st_size, 0
    while first < size:
        message = record(path, first)
        yield first, message
        first += HEADER + len(message) + TRAILER


def record(path: Path, first: int) -> bytes:
    """The message of the record at that byte. Raises ValueError for a truncated file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(first)
        header = file.read(HEADER)
        length = int.from_bytes(header[:8], "little")
        if len(header) < HEADER or first + HEADER + length + TRAILER > size:
            raise ValueError(f"the record at byte {first} is longer than the file")
        return file.read(length)


def values(message: bytes) -> Values:
    """The features of a `tf.train.Example`. Raises ValueError for other bytes."""
    example, errors = _example()
    try:
        found = example.FromString(message).features.feature
    except errors as error:
        raise ValueError(f"not a tf.train.Example ({error})") from None
    return {name: _values(feature) for name, feature in found.items()}


def _values(feature: Any) -> Array | list[bytes]:
    if feature.bytes_list.value:
        return list(feature.bytes_list.value)
    if feature.int64_list.value:
        return np.array(feature.int64_list.value, np.int64)
    return np.array(feature.float_list.value, np.float64)


@cache
def _example() -> tuple[Any, type[Exception]]:
    """The message class, and the error for bytes that are none. Raises MissingRequirementError."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
    except ImportError:
        raise MissingRequirementError("RLDS sets need protobuf. Type: pip install 'nora-bench[train]'") from None
    package, field = "nora_bench_tfrecord", descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")

    def add(name: str, number: int, kind: int, parent: Any, *, repeated: bool = False, of: str = "") -> None:
        label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
        parent.field.add(name=name, number=number, type=kind, label=label, type_name=f".{package}.{of}" if of else None)

    feature = descriptor_pb2.DescriptorProto(name="Feature")
    lists = (("Bytes", field.TYPE_BYTES), ("Float", field.TYPE_FLOAT), ("Int64", field.TYPE_INT64))
    for number, (kind, type_number) in enumerate(lists, 1):
        add("value", 1, type_number, file.message_type.add(name=f"{kind}List"), repeated=True)
        add(f"{kind.lower()}_list", number, field.TYPE_MESSAGE, feature, of=f"{kind}List")
    file.message_type.append(feature)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add("key", 1, field.TYPE_STRING, entry)
    add("value", 2, field.TYPE_MESSAGE, entry, of="Feature")
    add("feature", 1, field.TYPE_MESSAGE, features, repeated=True, of="Features.FeatureEntry")
    add("features", 1, field.TYPE_MESSAGE, file.message_type.add(name="Example"), of="Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Example")), message.DecodeError
