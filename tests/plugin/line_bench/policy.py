import numpy as np
from nora_bench import ActionChunk, BasePolicy, ObservationSpec


class Homing(BasePolicy):
    """Walks towards zero."""

    observation_spec = ObservationSpec(proprio=True)

    def __init__(self, stride: float = 1.0):
        self.stride = stride

    def act_one(self, observation):
        return ActionChunk(np.full((1, 1), -self.stride * np.sign(observation.env_observation.proprio["place"][0])))
