"""Random weights as safetensors files, written part by part: a checkpoint of any size in little memory, without torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...envs.types import Array
from .hub_cache import HubFile

WIDTH = {"bfloat16": 2, "float32": 4}
"""Type of the weights -> bytes of a number."""
CODE = {"bfloat16": "BF16", "float32": "F32"}
PART = 1 << 24
"""Numbers generated at once."""
ONE = 0x3F80
"""1.0 in bfloat16."""
SMALLEST = 118 << 7
"""2**-9 in bfloat16. Magnitudes are sampled from four octaves above it: root mean square 0.013, near the 0.02 of new models."""
SIGN_OCTAVE_FRACTION = 0x8000 | 0x01FF
"""Random bits of a number: its sign, two bits of its exponent, its fraction."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """Tensors of a checkpoint."""

    shapes: Mapping[str, tuple[int, ...]]
    """Name -> shape, in the order of the model."""

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def bytes(self, dtype: str) -> int:
        """Size of all tensors."""
        return self.parameters * WIDTH[dtype]

    def shards(self, dtype: str, largest: int) -> list[dict[str, tuple[int, ...]]]:
        """The tensors in files of at most `largest` bytes, as the libraries that wrote the released files fill them."""
        shards: list[dict[str, tuple[int, ...]]] = [{}]
        used = 0
        for name, shape in self.shapes.items():
            size = math.prod(shape) * WIDTH[dtype]
            if shards[-1] and used + size > largest:
                shards.append({})
                used = 0
            shards[-1][name] = shape
            used += size
        return shards


def weight_files(tensors: Tensors, dtype: str, largest: int, seed: int) -> Iterator[HubFile]:
    """`model.safetensors`, or its shards and their index. The same arguments give the same bytes."""
    shards = tensors.shards(dtype, largest)
    rng = np.random.Generator(np.random.SFC64(seed))
    if len(shards) == 1:
        yield HubFile("model.safetensors", _content(shards[0], dtype, rng), large=True)
        return
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    where = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    index = {"metadata": {"total_size": tensors.bytes(dtype)}, "weight_map": where}
    yield HubFile("model.safetensors.index.json", [json.dumps(index, indent=2).encode()])
    for name, shard in zip(names, shards, strict=True):
        yield HubFile(name, _content(shard, dtype, rng), large=True)


def _content(shapes: Mapping[str, tuple[int, ...]], dtype: str, rng: np.random.Generator) -> Iterator[bytes]:
    """A safetensors file: the length of its header, the header, all values."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", "weights": "random"}}
    offset = 0
    for name, shape in shapes.items():
        end = offset + math.prod(shape) * WIDTH[dtype]
        header[name] = {"dtype": CODE[dtype], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name, shape in shapes.items():
        for start in range(0, total := math.prod(shape), PART):
            values = _values(name, shape, min(PART, total - start), rng)
            yield (values if dtype == "bfloat16" else values.astype("<u4") << 16).tobytes()


def _values(name: str, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Array:
    """[count] uint16, bfloat16 numbers: matrices random, biases 0, weights of norms 1."""
    if len(shape) == 1:
        return np.full(count, 0 if name.endswith(".bias") else ONE, "<u2")
    values = np.frombuffer(rng.bytes(2 * count), "<u2") & np.uint16(SIGN_OCTAVE_FRACTION)
    return values + np.uint16(SMALLEST)
