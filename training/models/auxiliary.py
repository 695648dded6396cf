"""Auxiliary losses that train a small vision encoder; used in training only, and no part of the policy.

The demonstrations contain the simulator's state, so object positions are known. Each image token predicts which object is at
its place; the prompt's last token predicts the positions of gripper, object and goal, and the action chunk. Both give a far
steadier gradient than the flow's noise. Shapes: B rows, H hidden.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...policies.nora.config import NoraConfig
from ..data.scene_targets import FACTS, KINDS, SceneTargets


class Auxiliary(nn.Module):
    """Linear heads on image tokens and on the prompt's last token."""

    def __init__(self, config: NoraConfig, detection_weight: float, regression_weight: float, seed: int) -> None:
        """`seed` initialises the heads, from a generator of their own."""
        super().__init__()
        hidden, generator = config.text["hidden_size"], torch.Generator().manual_seed(seed)
        self.weights = (detection_weight, regression_weight)
        self.side = round(config.image_tokens**0.5)
        self.kinds = _linear(hidden, KINDS, generator)
        self.offsets = _linear(hidden, 2 * KINDS, generator)
        self.facts = _linear(hidden, FACTS, generator)
        self.chunk = _linear(hidden, (config.chunk or 1) * config.action_size, generator)

    def forward(self, image: Tensor, last: Tensor, targets: SceneTargets, actions: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, loss): `detection`, `place` (RMS in image tokens), `facts`, `chunk` (mean absolute errors).

        Args:
            image: [B, image tokens, H].
            last: [B, H] of the prompt's last token.
            targets: of the batch.
            actions: [B, N, action size] normalised chunks.
        """
        detect, regress = self.weights
        out: dict[str, tuple[float, Tensor]] = {}
        if detect:
            detection, place = self._detect(image, targets)
            out |= {"detection": (detect, detection), "place": (detect, place)}
        if regress:
            facts = torch.from_numpy(targets.facts).to(last.device)
            predicted = self.facts(last).float()[:, : facts.shape[1]]
            known = ~facts.isnan()
            chunk = self.chunk(last).float().view_as(actions)
            out["facts"] = (regress, F.l1_loss(predicted[known], facts[known]))
            out["chunk"] = (regress, F.l1_loss(chunk, actions))
        return out

    def _detect(self, image: Tensor, targets: SceneTargets) -> tuple[Tensor, Tensor]:
        """Cross entropy of each thing's token among all, and the absolute error of its place within it, in tokens."""
        places = torch.from_numpy(targets.places).to(image.device) * self.side
        rows, things = ((places >= 0) & (places < self.side)).all(-1).nonzero(as_tuple=True)
        kinds = torch.from_numpy(targets.kinds).to(image.device)[rows, things]
        places = places[rows, things]
        cell = places.floor().clamp(0, self.side - 1)
        token = (cell[:, 0] * self.side + cell[:, 1]).long()
        logits = self.kinds(image).float()[rows, :, kinds]
        offsets = self.offsets(image).float().unflatten(-1, (KINDS, 2))[rows, token, kinds]
        return F.cross_entropy(logits, token), F.l1_loss(offsets, places - cell - 0.5)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer initialised as `nn.Linear` does, which itself samples from torch's global generator."""
    layer, bound = cast(nn.Linear, nn.utils.skip_init(nn.Linear, inputs, outputs)), inputs**-0.5
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.uniform_(-bound, bound, generator=generator)
    return layer
