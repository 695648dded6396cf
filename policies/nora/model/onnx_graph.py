"""The flow policy of one architecture as an ONNX graph without weights, for `policies/nora/onnx_predictor.py`.

The graph computes one decision of one row, Euler steps included, as `engine.py` does for the flow. Its weights are named and
shaped like the checkpoint's tensors and come from the weights file when a session is made, so that a graph serves every
training of its architecture. (Exporters of torch modules fold transposed copies of the weights into constants without names.)

Shapes: P prompt tokens, before and after the image's I tokens; H hidden; N actions of a chunk; A action size; S Euler steps;
V values of a patch; d head size.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding, Qwen2_5_VLVisionRotaryEmbedding
from transformers.vision_utils import get_vision_position_ids

from ..config import NoraConfig
from ..onnx_format import ARCHITECTURE, INPUTS, LANGUAGE, OUTPUT, VISUAL, architecture
from ..weights import CheckpointError
from .expert import rotary, time_frequencies
from .onnx_nodes import Cache, DecoderSizes, Nodes, decoder_block, keys_and_values

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

OPSET, IR_VERSION = 23, 11
"""The first opset that has RMSNormalization, RotaryEmbedding and Attention."""
VISION_EPS = 1e-6


def build_graph(config: NoraConfig) -> ModelProto:
    """The graph of that architecture; the same for equal `architecture(config)`.

    Inputs: `before` and `after` [tokens, H], the embedded text around the image; `positions` [3, P] int64; `pixels` [patches, V];
    `noise` [N, A]; `times` [S]. Output: `actions` [N, A]. All float32 but the positions.

    Raises CheckpointError for models that it does not cover: those without an expert, and images of several windows.
    """
    from onnx import TensorProto
    from onnx.helper import make_graph, make_model, make_opsetid, make_tensor_value_info

    chunk = _covered(config)
    nodes, hidden = Nodes(), config.text["hidden_size"]
    prompt = nodes("Concat", "before", _image_tokens(nodes, config), "after", axis=0)
    nodes.nodes.append(_flow(nodes, config, _prefix(nodes, config, prompt), chunk))
    shapes: tuple[list[int | str], ...] = (
        ["before", hidden],
        ["after", hidden],
        [3, "prompt"],
        [(config.image_size // config.patch) ** 2, 3 * _frames(config) * config.patch**2],
        [chunk, config.action_size],
        ["steps"],
    )
    inputs = dict(zip(INPUTS, shapes, strict=True))
    kinds = {"positions": TensorProto.INT64}
    graph = make_graph(
        [*nodes.prologue, *nodes.nodes],
        "nora_flow",
        [make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape) for name, shape in inputs.items()],
        [make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [chunk, config.action_size])],
        list(nodes.tensors.values()),
    )
    model = make_model(graph, opset_imports=[make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="nora-bench")
    model.metadata_props.add(key=ARCHITECTURE, value=json.dumps(architecture(config), sort_keys=True))
    return model


def _covered(config: NoraConfig) -> int:
    """The chunk of a model that the graph can compute. Raises CheckpointError."""
    if config.expert is None or config.chunk is None:
        raise CheckpointError("an ONNX graph needs a model with a flow expert and a fixed chunk")
    if config.image_size > config.backbone["vision_config"].get("window_size", 112):
        raise CheckpointError(
            f"images of {config.image_size} px have several windows in the vision encoder; an ONNX graph has one"
        )
    return config.chunk


def _frames(config: NoraConfig) -> int:
    return config.backbone["vision_config"].get("temporal_patch_size", 2)


def _image_tokens(nodes: Nodes, config: NoraConfig) -> str:
    """[I, H] of `pixels`, through the vision encoder."""
    vision = config.backbone["vision_config"]
    hidden, heads, wide = vision["hidden_size"], vision["num_heads"], vision["hidden_size"] * config.merge**2
    rope = [nodes.constant(table[None]) for table in _vision_rope(config)]
    kernel = nodes.weight(f"{VISUAL}.patch_embed.proj.weight", hidden, 3, _frames(config), config.patch, config.patch)
    x = nodes("Gemm", "pixels", nodes.shape(kernel, hidden, -1), transB=1)
    for index in range(vision["depth"]):
        block = f"{VISUAL}.blocks.{index}"
        normed = nodes.norm(x, f"{block}.norm1", hidden, VISION_EPS)
        parts = nodes.several("Split", 3, nodes.linear(normed, hidden, f"{block}.attn.qkv", 3 * hidden), axis=1, num_outputs=3)
        q, k, v = (
            nodes.heads(part, heads, hidden // heads, tables) for part, tables in zip(parts, (rope, rope, ()), strict=True)
        )
        x = nodes("Add", x, nodes.linear(nodes.attend(q, k, v, hidden), hidden, f"{block}.attn.proj", hidden))
        normed = nodes.norm(x, f"{block}.norm2", hidden, VISION_EPS)
        x = nodes("Add", x, nodes.swiglu(normed, f"{block}.mlp", hidden, vision["intermediate_size"], True))
    grouped = nodes.shape(nodes.norm(x, f"{VISUAL}.merger.ln_q", hidden, VISION_EPS), -1, wide)
    inner = nodes("Gelu", nodes.linear(grouped, wide, f"{VISUAL}.merger.mlp.0", wide))
    return nodes.linear(inner, wide, f"{VISUAL}.merger.mlp.2", vision["out_hidden_size"])


def _vision_rope(config: NoraConfig) -> list[np.ndarray]:
    """Cosines and sines [patches, d/2]."""
    embedding: Any = Qwen2_5_VLVisionRotaryEmbedding(cast(Any, config.transformers_config().vision_config))
    side = config.image_size // config.patch
    places = get_vision_position_ids(torch.tensor([[1, side, side]]), config.merge)
    return [table.chunk(2, dim=-1)[0].numpy() for table in embedding(torch.zeros(()), places)]


def _prefix(nodes: Nodes, config: NoraConfig, x: str) -> list[Cache]:
    """Keys and values of every layer of the language model for the prompt [P, H]."""
    text = config.text
    heads, eps = text["num_attention_heads"], text.get("rms_norm_eps", 1e-6)
    key_value_heads, layers = text["num_key_value_heads"], text["num_hidden_layers"]
    sizes = DecoderSizes(text["hidden_size"], heads, key_value_heads, config.head_size, text["intermediate_size"], eps)
    rope, caches = _language_rope(nodes, config), []
    for index in range(layers - 1):
        x, cache = decoder_block(nodes, x, f"{LANGUAGE}.layers.{index}", sizes, rope)
        caches.append(cache)
    return [*caches, keys_and_values(nodes, x, f"{LANGUAGE}.layers.{layers - 1}", sizes, rope)]


def _language_rope(nodes: Nodes, config: NoraConfig) -> list[str]:
    """Cosines and sines [1, P, d/2] of `positions`; each pair of channels follows time, height or width."""
    embedding: Any = Qwen2_5_VLRotaryEmbedding(cast(Any, config.transformers_config().text_config))
    sections = config.text["rope_scaling"]["mrope_section"]
    axes = nodes.constant(np.repeat(range(3), sections), np.int64)
    places = nodes("Transpose", nodes("Gather", "positions", axes, axis=0), perm=[1, 0])
    angles = nodes("Mul", nodes("Cast", places, to=1), nodes.constant(embedding.inv_freq.numpy()))
    return [nodes.shape(nodes(function, angles), 1, -1, config.head_size // 2) for function in ("Cos", "Sin")]


def _flow(nodes: Nodes, config: NoraConfig, caches: list[Cache], chunk: int) -> NodeProto:
    """The loop over the Euler steps, from `noise` to `actions` [N, A]."""
    from onnx import TensorProto
    from onnx.helper import make_graph, make_node, make_tensor_value_info

    count = nodes("Size", "times")
    steps = nodes("Cast", count, to=TensorProto.FLOAT)
    step, go_on, state = (
        make_tensor_value_info("step", TensorProto.INT64, []),
        make_tensor_value_info("proceed", TensorProto.BOOL, []),
        make_tensor_value_info("noisy", TensorProto.FLOAT, [chunk, config.action_size]),
    )
    with nodes.inside() as body:
        velocity = _velocity(nodes, config, caches, chunk)
        body.append(make_node("Identity", ["proceed"], ["proceed_next"]))
        body.append(make_node("Sub", ["noisy", nodes("Div", velocity, steps)], ["less_noisy"]))
    outputs = [
        make_tensor_value_info("proceed_next", TensorProto.BOOL, []),
        make_tensor_value_info("less_noisy", TensorProto.FLOAT, [chunk, config.action_size]),
    ]
    return make_node("Loop", [count, "", "noise"], [OUTPUT], body=make_graph(body, "euler_step", [step, go_on, state], outputs))


def _velocity(nodes: Nodes, config: NoraConfig, caches: list[Cache], chunk: int) -> str:
    """[N, A] velocity of the flow at `noisy` and the time of `step`."""
    expert, text = config.expert, config.text
    assert expert is not None
    hidden, eps = expert.hidden_size, text.get("rms_norm_eps", 1e-6)
    angles = nodes("Mul", nodes.constant(time_frequencies(hidden)[None].numpy()), nodes("Gather", "times", "step"))
    time = nodes("Concat", nodes("Sin", angles), nodes("Cos", angles), axis=1)
    times = nodes("Expand", time, nodes.constant([chunk, hidden], np.int64))
    actions = nodes.linear("noisy", config.action_size, "action_in_proj", hidden)
    both = nodes.linear(nodes("Concat", actions, times, axis=1), 2 * hidden, "action_time_mlp_in", hidden)
    x = nodes.linear(nodes.silu(both), hidden, "action_time_mlp_out", hidden)
    heads, key_value_heads = expert.num_attention_heads, text["num_key_value_heads"]
    sizes = DecoderSizes(hidden, heads, key_value_heads, config.head_size, expert.intermediate_size, eps)
    rope = [nodes.constant(table[None].numpy()) for table in rotary(chunk, config.head_size, "cpu")]
    for index, cache in enumerate(caches):
        x, _ = decoder_block(nodes, x, f"action_expert.layers.{index}", sizes, rope, cache)
    return nodes.linear(nodes.norm(x, "action_expert.norm", hidden, eps), hidden, "action_out_proj", config.action_size)
