"""Layouts of observations: nora-bench's own, and lerobot's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...envs.base import EnvObservation
from ...policies.remote.messages import libero_state
from .suite_env import SuiteEnv

IMAGE_NAMES = {"primary": "image", "wrist": "image2"}
"""Camera -> name in lerobot's LIBERO data sets and checkpoints; other cameras keep theirs."""


class LerobotEnv(SuiteEnv):
    """A task with lerobot's observation keys; everything else as in `SuiteEnv`.

    `pixels`: `image` (third person) and `image2` (wrist). `agent_pos`: float64; LIBERO's 8 numbers (end effector x y z, m;
    axis times angle, rad; two finger positions, m), or all vectors of the robot's state in the suite's order.
    """

    def _encode(self, observation: EnvObservation) -> dict[str, Any]:
        pixels = {IMAGE_NAMES.get(camera, camera): np.array(image) for camera, image in observation.images.items()}
        proprio = observation.proprio
        if not proprio:
            return {"pixels": pixels}
        libero = self.episodes.suite.family == "libero"
        state = libero_state(proprio) if libero else np.concatenate(list(proprio.values()))
        return {**({"pixels": pixels} if pixels else {}), "agent_pos": state}


LAYOUTS = {"nora-bench": SuiteEnv, "lerobot": LerobotEnv}
