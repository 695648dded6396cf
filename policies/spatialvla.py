"""SpatialVLA and its fine-tunes (IPEC-COMMUNITY/spatialvla-4b-224-pt ...): a chunk of actions per decision.

As in the published SimplerEnv evaluation: DelinQu/SimplerEnv-OpenVLA at ccfe3809; SpatialVLA/SpatialVLA at e480753.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs.errors import PolicyError
from ..envs.types import Array
from .remote_code import RemoteCodePolicy, pretrained, remote_class

if TYPE_CHECKING:
    from PIL.Image import Image

TOKENS_PER_ACTION = 3
"""Translation, rotation, gripper."""


class SpatialVLAPolicy(RemoteCodePolicy):
    """A SpatialVLA checkpoint: a folder, or a hub id. Set `trust_remote_code`: its model is Python beside the weights.

    Weights are bfloat16, because its code gives the model such numbers whatever it holds.
    """

    MODEL = "SpatialVLA"
    WRITTEN_FOR = "4.47.0"
    TOWER = "vision_tower"
    STATISTICS = "processor_config.json"

    def load(self, folder: Path, device: str) -> tuple[Any, Any]:
        import torch
        from transformers import AutoProcessor

        model_class = remote_class(folder, "AutoModel")
        model = pretrained(model_class, folder, torch_dtype=torch.bfloat16)
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
        if processor.num_obs_steps > 1:
            raise PolicyError(
                f"{self.checkpoint} needs the last {processor.num_obs_steps} observations, and only the newest is given"
            )
        return model.eval().to(device), processor

    def side(self) -> int:
        return int(self.processor.image_processor.size["height"])

    def known_statistics(self) -> Mapping[str, Any]:
        return self.processor.statistics

    def use_statistics(self, table: Mapping[str, Any]) -> None:
        self.processor.statistics = dict(table)

    def question(self, family: str) -> str:
        return "{instruction}"

    def predict(self, image: Image, text: str, statistics: str) -> tuple[Array, str]:
        inputs = self.processor(images=[image], text=text, unnorm_key=statistics, return_tensors="pt", do_normalize=False)
        tokens = self.model.predict_action(inputs)
        actions = self.processor.decode_actions(generation_outputs=tokens, unnorm_key=statistics)["actions"]
        whole = tokens.shape[1] >= TOKENS_PER_ACTION * self.processor.action_chunk_size
        return np.asarray(actions, np.float64), "ok" if whole else "cut"
