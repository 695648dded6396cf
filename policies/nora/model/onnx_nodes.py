"""Nodes of an ONNX graph: layers of the NORA models, written operator by operator.

Shapes: rows are tokens, patches or actions; h heads; d head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

WEIGHTS = "model.safetensors"
"""File that the graph names for its weights; a session receives them by name."""


class Nodes:
    """Nodes in the order in which they are added, weights and constants. Values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.prologue: list[NodeProto] = []
        """Nodes that depend on weights alone, which a session computes once."""
        self.tensors: dict[str, TensorProto] = {}
        self._names = 0

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; the name of its output."""
        return self.several(operator, 1, *inputs, **attributes)[0]

    def several(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node; the names of its outputs."""
        from onnx.helper import make_node

        names = [self._name(operator) for _ in range(outputs)]
        self.nodes.append(make_node(operator, inputs, names, **attributes))
        return names

    @contextmanager
    def inside(self) -> Iterator[list[NodeProto]]:
        """Nodes that are added within belong to the list, the body of a loop."""
        outside, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outside

    def weight(self, name: str, *shape: int) -> str:
        """A tensor of the checkpoint, float32, without its values."""
        from onnx import TensorProto

        tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=WEIGHTS)
        self.tensors[name] = tensor
        return name

    def constant(self, value: Any, kind: type = np.float32) -> str:
        """A value that only the architecture decides."""
        from onnx.numpy_helper import from_array

        name = self._name("constant")
        self.tensors[name] = from_array(np.ascontiguousarray(value, kind), name)
        return name

    def shape(self, x: str, *sizes: int) -> str:
        """The value in another shape; -1 is what is left."""
        return self("Reshape", x, self.constant(sizes, np.int64))

    def _joined(self, parts: list[str]) -> str:
        if len(parts) == 1:
            return parts[0]
        from onnx.helper import make_node

        name = self._name("joined")
        self.prologue.append(make_node("Concat", parts, [name], axis=0))
        return name

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}_{self._names}"

    def linears(self, x: str, size: int, bias: bool, *layers: tuple[str, int]) -> list[str]:
        """Linear layers (name, outputs) of [rows, size], computed as one matrix product."""
        parts = [self._joined([self.weight(f"{name}.weight", width, size) for name, width in layers])]
        if bias:
            parts.append(self._joined([self.weight(f"{name}.bias", width) for name, width in layers]))
        product = self("Gemm", x, *parts, transB=1)
        if len(layers) == 1:
            return [product]
        return self.several("Split", len(layers), product, self.constant([width for _, width in layers], np.int64), axis=1)

    def linear(self, x: str, size: int, name: str, width: int, bias: bool = True) -> str:
        """[rows, width] from [rows, size]."""
        return self.linears(x, size, bias, (name, width))[0]

    def norm(self, x: str, name: str, size: int, eps: float) -> str:
        """Root-mean-square norm of [rows, size]."""
        return self("RMSNormalization", x, self.weight(f"{name}.weight", size), epsilon=eps)

    def silu(self, x: str) -> str:
        """`x * sigmoid(x)`, as a quotient: ONNX Runtime's Sigmoid has no correct digit where it is small."""
        return self("Div", x, self("Add", self("Exp", self("Neg", x)), self.constant(1)))

    def swiglu(self, x: str, name: str, size: int, width: int, bias: bool) -> str:
        """The gated MLP of all layers on [rows, size]."""
        gate, up = self.linears(x, size, bias, (f"{name}.gate_proj", width), (f"{name}.up_proj", width))
        return self.linear(self("Mul", self.silu(gate), up), width, f"{name}.down_proj", size, bias)

    def heads(self, x: str, heads: int, size: int, rope: Sequence[str] = ()) -> str:
        """[1, h, rows, d] from [rows, h * d], rotated by cosines and sines [1, rows, d/2] where they are given."""
        split = self("Transpose", self.shape(x, 1, -1, heads, size), perm=[0, 2, 1, 3])
        return self("RotaryEmbedding", split, *rope) if rope else split

    def attend(self, q: str, k: str, v: str, width: int, causal: bool = False) -> str:
        """[rows, h * d] attention of [1, h, rows, d]; keys and values may have fewer heads."""
        mixed = self("Attention", q, k, v, is_causal=int(causal))
        return self.shape(self("Transpose", mixed, perm=[0, 2, 1, 3]), -1, width)


@dataclass(frozen=True, slots=True)
class DecoderSizes:
    """Sizes of the layers of the language model or of the expert."""

    hidden: int
    heads: int
    key_value_heads: int
    head: int
    intermediate: int
    eps: float

    def projections(self, name: str) -> tuple[tuple[str, int], ...]:
        """(name, width) of the projections to queries, keys and values."""
        keys = self.key_value_heads * self.head
        return (f"{name}.q_proj", self.heads * self.head), (f"{name}.k_proj", keys), (f"{name}.v_proj", keys)


Cache = tuple[str, str]
"""Rotated keys and values [1, h, rows, d] of one layer."""


def keys_and_values(nodes: Nodes, x: str, name: str, sizes: DecoderSizes, rope: Sequence[str]) -> Cache:
    """The keys and values alone of a layer on [rows, hidden]."""
    normed = nodes.norm(x, f"{name}.input_layernorm", sizes.hidden, sizes.eps)
    k, v = nodes.linears(normed, sizes.hidden, True, *sizes.projections(f"{name}.self_attn")[1:])
    return nodes.heads(k, sizes.key_value_heads, sizes.head, rope), nodes.heads(v, sizes.key_value_heads, sizes.head)


def decoder_block(
    nodes: Nodes, x: str, name: str, sizes: DecoderSizes, rope: Sequence[str], past: Cache | None = None
) -> tuple[str, Cache]:
    """One layer on [rows, hidden], and its keys and values: causal, or behind the past with all of it in view."""
    attention, width = f"{name}.self_attn", sizes.heads * sizes.head
    normed = nodes.norm(x, f"{name}.input_layernorm", sizes.hidden, sizes.eps)
    q, k, v = nodes.linears(normed, sizes.hidden, True, *sizes.projections(attention))
    q, k = nodes.heads(q, sizes.heads, sizes.head, rope), nodes.heads(k, sizes.key_value_heads, sizes.head, rope)
    v = nodes.heads(v, sizes.key_value_heads, sizes.head)
    keys, values = (k, v) if past is None else (nodes("Concat", old, new, axis=2) for old, new in zip(past, (k, v), strict=True))
    mixed = nodes.attend(q, keys, values, width, causal=past is None)
    x = nodes("Add", x, nodes.linear(mixed, width, f"{attention}.o_proj", sizes.hidden, bias=False))
    normed = nodes.norm(x, f"{name}.post_attention_layernorm", sizes.hidden, sizes.eps)
    return nodes("Add", x, nodes.swiglu(normed, f"{name}.mlp", sizes.hidden, sizes.intermediate, False)), (k, v)
