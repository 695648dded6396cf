"""Images of observations as one image."""

from __future__ import annotations

import numpy as np

from ...envs.base import Array, EnvObservation

FPS = 20.0
"""Control steps shown per second; a LIBERO step is 1/20 s."""


def side_by_side(observation: EnvObservation) -> Array:
    """All cameras in one H x W x 3 uint8 image, rotated as for the policy."""
    return np.concatenate(list(observation.images.values()), axis=1)
