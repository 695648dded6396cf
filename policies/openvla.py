"""OpenVLA and its fine-tunes (openvla/openvla-7b, openvla/openvla-7b-finetuned-libero-*): one action per decision.

As in the published evaluations: openvla/openvla experiments/robot at c8f03f4 (LIBERO), DelinQu/SimplerEnv-OpenVLA at
ccfe3809 (SimplerEnv).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..envs.types import Array
from .remote_code import RemoteCodePolicy, pretrained, remote_class

if TYPE_CHECKING:
    from PIL.Image import Image

QUESTION = "In: What action should the robot take to {instruction}?\nOut:"
"""The prompt of training and of the LIBERO evaluation."""
BARE = "{instruction}"
"""SimplerEnv's adaptor sends the bare instruction."""


class OpenVLAPolicy(RemoteCodePolicy):
    """An OpenVLA checkpoint: a folder, or a hub id. Set `trust_remote_code`: its model is Python beside the weights."""

    MODEL = "OpenVLA"
    WRITTEN_FOR = "4.40.1"
    TOWER = "vision_backbone"
    NUMBERS = ("q01", "q99")

    def __init__(
        self,
        checkpoint: str,
        trust_remote_code: bool = False,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        statistics: str | None = None,
        prompt: str | None = None,
        crop: bool = True,
    ) -> None:
        """Read nothing yet: as `RemoteCodePolicy`. `dtype` is of the weights; `auto`: bfloat16 on a GPU, float32 on a CPU."""
        super().__init__(checkpoint, trust_remote_code, device, statistics, prompt, crop)
        self.dtype = dtype

    def load(self, folder: Path, device: str) -> tuple[Any, Any]:
        import torch
        from transformers import AutoProcessor

        wanted = ("bfloat16" if device.startswith("cuda") else "float32") if self.dtype == "auto" else self.dtype
        model_class = remote_class(folder, "AutoModelForVision2Seq")
        model = pretrained(model_class, folder, torch_dtype=getattr(torch, wanted), low_cpu_mem_usage=True)
        return model.eval().to(device), AutoProcessor.from_pretrained(folder, trust_remote_code=True)

    def side(self) -> int:
        return int(self.model.config.image_sizes[0])

    def known_statistics(self) -> Mapping[str, Any]:
        return self.model.norm_stats or {}

    def use_statistics(self, table: Mapping[str, Any]) -> None:
        self.model.norm_stats = dict(table)

    def question(self, family: str) -> str:
        return BARE if family == "simpler" else QUESTION

    def predict(self, image: Image, text: str, statistics: str) -> tuple[Array, str]:
        inputs = self.processor(text, image).to(self.model.device, dtype=self.model.dtype)
        action = self.model.predict_action(**inputs, unnorm_key=statistics, do_sample=False)
        return np.asarray(action, np.float64)[None], "ok"
