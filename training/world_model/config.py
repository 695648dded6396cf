"""Sizes of a world model: a frozen V-JEPA 2 encoder and the predictor on top of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FULL_ENCODER: dict[str, Any] = {
    "crop_size": 256,
    "patch_size": 16,
    "tubelet_size": 2,
    "hidden_size": 1408,
    "num_hidden_layers": 40,
    "num_attention_heads": 22,
    "mlp_ratio": 48 / 11,
}
"""ViT-g of V-JEPA 2, as `transformers` names its fields."""
NANO_ENCODER: dict[str, Any] = {
    "crop_size": 64,
    "patch_size": 16,
    "tubelet_size": 2,
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "mlp_ratio": 2.0,
}
"""For tests and the nano recipe: untrained, so its latents are random features of the patches."""
SEEN = 32
"""Frames that the predictor's mask is built for, as released."""


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """Sizes of the action-conditioned predictor; the defaults are V-JEPA 2-AC's."""

    width: int = 1024
    layers: int = 24
    heads: int = 16
    mlp_ratio: float = 4.0
    action_size: int = 7
    state_size: int = 7


@dataclass(frozen=True, slots=True)
class WorldModelConfig:
    """One world model. The defaults are the published sizes."""

    encoder: Mapping[str, Any] = field(default_factory=lambda: FULL_ENCODER)
    """Fields of `transformers.VJEPA2Config`."""
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    trained_encoder: bool = True
    """False for a randomly initialised, untrained encoder."""

    @property
    def image_size(self) -> int:
        """Side of a frame in pixels."""
        return self.encoder["crop_size"]

    @property
    def layers(self) -> int:
        """Layers of the encoder or the predictor, whichever has more."""
        return max(self.encoder.get("num_hidden_layers", 0), self.predictor.layers)

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.encoder["crop_size"] // self.encoder["patch_size"]

    @property
    def tokens(self) -> int:
        """Latent tokens per frame."""
        return self.grid**2

    @property
    def width(self) -> int:
        """Size of one latent token."""
        return self.encoder["hidden_size"]

    def to_json(self) -> dict[str, Any]:
        """JSON-able; `from_json` reads it."""
        return {"encoder": dict(self.encoder), "predictor": asdict(self.predictor), "trained_encoder": self.trained_encoder}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WorldModelConfig:
        """Inverse of `to_json`. Raises ValueError for invalid values."""
        import msgspec

        try:
            found = msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        if not isinstance(found.encoder.get("num_hidden_layers", 0), int):
            raise ValueError("num_hidden_layers is not an integer")
        return found


NANO = WorldModelConfig(NANO_ENCODER, PredictorConfig(width=96, layers=3, heads=4), trained_encoder=False)
"""Small enough for a CPU."""
PRESETS = {"vitg-ac": WorldModelConfig(), "nano": NANO}
