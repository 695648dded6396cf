"""The graph file of a checkpoint: its name, which weights it takes, and the architecture that it states."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .config import NoraConfig
from .weights import EMBEDDING, TIED

GRAPH = "model.onnx"
"""File of the graph in a checkpoint's folder."""
INPUTS = ("before", "after", "positions", "pixels", "noise", "times")
OUTPUT = "actions"
"""The graph's inputs and output; their shapes: `model/onnx_graph.py`."""
ARCHITECTURE = "architecture"
"""Entry of the graph's metadata that holds `architecture(config)` as JSON."""
LANGUAGE, VISUAL = "vlm.model.language_model", "vlm.model.visual"
"""Start of the names of the language model's and the vision encoder's weights."""
EXPORT = "nora-bench export-checkpoint --onnx --checkpoint CHECKPOINT --out FOLDER"
UNUSED = (EMBEDDING, TIED, f"{LANGUAGE}.norm.weight")
"""Weights that no graph contains: text is embedded before, and tokens are not generated."""
UNUSED_OF_LAST = ("mlp.", "post_attention_layernorm.", "self_attn.q_proj.", "self_attn.o_proj.")
"""The same within the last layer of the language model, whose keys and values alone matter."""
TEXT_FIELDS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("rms_norm_eps", "rope_theta", "hidden_act"),
)
VISION_FIELDS = (
    *("depth", "hidden_size", "intermediate_size", "num_heads", "out_hidden_size", "hidden_act"),
    *("patch_size", "spatial_merge_size", "temporal_patch_size", "window_size"),
)
"""Fields of the backbone's configuration that decide a graph."""


def architecture(config: NoraConfig) -> dict[str, Any]:
    """The part of a configuration that decides a graph, JSON-able: two configurations with the same part share their graph."""
    vision = config.backbone["vision_config"]
    # Of `rope_scaling` only the sections: `transformers` adds entries to it when it builds a model.
    sections = config.text["rope_scaling"]["mrope_section"]
    return {
        "text": {**{name: config.text.get(name) for name in TEXT_FIELDS}, "mrope_section": sections},
        "vision": {name: vision.get(name) for name in VISION_FIELDS},
        "expert": asdict(config.expert) if config.expert else None,
        **{name: getattr(config, name) for name in ("chunk", "action_size", "image_size")},
    }
