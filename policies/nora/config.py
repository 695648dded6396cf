"""Configuration of a NORA model: sizes of backbone and expert, action tokens, image size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig

INSTALL = "pip install 'nora-bench[nora]'"
ACTION_TOKENS = 2048
FULL_BACKBONE: dict[str, Any] = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128_000,
    "max_window_layers": 70,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "use_sliding_window": False,
    "tie_word_embeddings": True,
    "vocab_size": 153_713,
    "bos_token_id": 151_643,
    "eos_token_id": 151_645,
    "image_token_id": 151_655,
    "video_token_id": 151_656,
    "vision_start_token_id": 151_652,
    "vision_end_token_id": 151_653,
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "in_channels": 3,
        "out_hidden_size": 2048,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
    },
}
"""Qwen2.5-VL-3B-Instruct with 2048 action tokens added, as the released checkpoints have it."""


@dataclass(frozen=True, slots=True)
class ExpertConfig:
    """Sizes of the action expert; layers, key-value heads and head size are the backbone's."""

    hidden_size: int = 768
    num_attention_heads: int = 6
    intermediate_size: int = 2048


@dataclass(frozen=True, slots=True)
class NoraConfig:
    """One model of the family."""

    backbone: Mapping[str, Any] = field(default_factory=lambda: FULL_BACKBONE)
    """Fields of a Qwen2.5-VL configuration file, flat (old) or nested (new)."""
    expert: ExpertConfig | None = None
    """None: NORA and NORA-Long, which have only the backbone."""
    chunk: int | None = None
    """Actions per chunk; None where the checkpoint does not state it."""
    action_size: int = 7
    image_size: int = 224

    @property
    def text(self) -> Mapping[str, Any]:
        """Fields of the language model."""
        return self.backbone.get("text_config", self.backbone)

    @property
    def patch(self) -> int:
        """Side of a vision patch in pixels."""
        return self.backbone["vision_config"].get("patch_size", 14)

    @property
    def merge(self) -> int:
        """Patches per side that become one image token."""
        return self.backbone["vision_config"].get("spatial_merge_size", 2)

    @property
    def head_size(self) -> int:
        """Size of one attention head of the backbone and of the expert."""
        return self.text["hidden_size"] // self.text["num_attention_heads"]

    @property
    def image_tokens(self) -> int:
        """Tokens that one image takes in the prompt."""
        return (self.image_size // (self.patch * self.merge)) ** 2

    @property
    def tied(self) -> bool:
        """Whether the output head is the embedding, the default where the backbone does not state it."""
        return says_tied(self.backbone) is not False

    def problem(self) -> str:
        """Why no such model can be built; empty where one can."""
        if self.image_size % (self.patch * self.merge):
            return f"image_size {self.image_size} is not a multiple of {self.patch * self.merge}"
        if not self.expert:
            return ""
        if self.expert.hidden_size != self.expert.num_attention_heads * self.head_size:
            return f"expert heads must be as large as the backbone's: {self.expert} has not heads of {self.head_size}"
        if self.expert.num_attention_heads % self.text["num_key_value_heads"]:
            return f"expert heads must be a multiple of the backbone's {self.text['num_key_value_heads']} key-value heads"
        return ""

    def transformers_config(self) -> Qwen2_5_VLConfig:
        """The backbone's configuration for `transformers`."""
        from transformers import Qwen2_5_VLConfig

        # Explicit, because the default of `transformers` differs between versions.
        return Qwen2_5_VLConfig.from_dict({**with_tie(self.backbone, self.tied), "attn_implementation": "sdpa"})


def says_tied(backbone: Mapping[str, Any]) -> bool | None:
    """Whether a backbone's configuration ties its output head to the embedding; None where it has no such field."""
    parts = (backbone, backbone.get("text_config") or {})
    return next((bool(part["tie_word_embeddings"]) for part in parts if part.get("tie_word_embeddings") is not None), None)


def with_tie(backbone: Mapping[str, Any], tied: bool) -> dict[str, Any]:
    """The configuration with that field, wherever `transformers` reads it."""
    if "text_config" not in backbone:
        return {**backbone, "tie_word_embeddings": tied}
    return {**backbone, "tie_word_embeddings": tied, "text_config": {**backbone["text_config"], "tie_word_embeddings": tied}}


def expert_intermediate(hidden: int) -> int:
    """Width of the expert's MLP as released: two thirds of four times the hidden size, rounded up to 256."""
    return 256 * -(-int(4 * int(2 * hidden / 3)) // 256)


def euler_times(steps: int) -> list[float]:
    """Times of the Euler steps: 1.0, 0.9, ... accumulated in float32 as released (1 - i/10 moves the sample by 3e-5)."""
    step, time, times = np.float32(-1.0 / steps), np.float32(1.0), []
    for _ in range(steps):
        times.append(float(time))
        time = time + step
    return times
