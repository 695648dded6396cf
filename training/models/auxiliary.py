"""Losses that help a small vision tower to see; used in training only, and no part of the policy.

The demonstrations hold the simulator's state, so where things are is known. Image tokens are asked what is at their
place, and the prompt's last token where the hand, the instruction's object and its goal are, and what to do next. Both
give a far steadier gradient than the flow's noise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...policies.nora.config import NoraConfig
from ..data.scene_targets import FACTS, KINDS, SceneTargets


class Auxiliary(nn.Module):
    """Reads image tokens and the prompt's last token."""

    def __init__(self, config: NoraConfig, detection_weight: float, regression_weight: float) -> None:
        super().__init__()
        hidden = config.text["hidden_size"]
        self.weights = (detection_weight, regression_weight)
        self.side = round(config.image_tokens**0.5)
        self.kinds = nn.Linear(hidden, KINDS)
        self.offsets = nn.Linear(hidden, 2 * KINDS)
        self.facts = nn.Linear(hidden, FACTS)
        self.chunk = nn.Linear(hidden, (config.chunk or 1) * config.action_size)

    def forward(self, image: Tensor, answer: Tensor, targets: SceneTargets, actions: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, loss): `detection`, `place` (RMS in image tokens), `facts`, `chunk` (mean absolute errors).

        Args:
            image: [B, image tokens, hidden].
            answer: [B, hidden] of the prompt's last token.
            targets: of the batch.
            actions: [B, N, action size] normalised chunks.
        """
        detect, regress = self.weights
        out: dict[str, tuple[float, Tensor]] = {}
        if detect:
            detection, place = self._detect(image, targets)
            out |= {"detection": (detect, detection), "place": (detect, place)}
        if regress:
            facts = torch.from_numpy(targets.facts).to(answer.device)
            told = self.facts(answer).float()[:, : facts.shape[1]]
            known = ~facts.isnan()
            chunk = self.chunk(answer).float().view_as(actions)
            out["facts"] = (regress, F.l1_loss(told[known], facts[known]))
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
