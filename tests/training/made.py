"""Demonstrations made by hand, for tests that need no simulator."""

import numpy as np
from nora_bench.training.data.demonstrations import Demonstration


def made(number=0, steps=12, suite="libero_object", pushed=(), **changes):
    """A demonstration whose actions count up, so that a test can say which is which."""
    rng = np.random.default_rng(number)
    labels = np.linspace(-1, 1, steps * 7).reshape(steps, 7)
    labels[:, 6] = np.where(np.arange(steps) < steps // 2, -1.0, 1.0)
    values = {
        "key": f"{suite}/task0/init{number}/seed0@libero/openvla",
        "suite": suite,
        "task": "pick_up_the_milk_and_place_it_in_the_basket",
        "instruction": "pick up the milk and place it in the basket",
        "actions": labels + rng.normal(0, 0.01, labels.shape),
        "states": rng.normal(size=(steps, 9)),
        "labels": labels,
        "pushed": np.isin(np.arange(steps), list(pushed)),
        "robot_states": rng.normal(size=(steps, 9)),
        "seen_qpos": rng.normal(size=(steps, 4)),
        "model": "<mujoco/>",
        "facts": {"task_id": 0, "init_state": number, "fixtures": {}},
    }
    return Demonstration(**{**values, **changes})


class Numbered:
    """Images whose pixels all hold the number of their step."""

    def __init__(self, every=2, size=4):
        self.every, self.size = every, size

    def steps(self, demonstration):
        return range(0, len(demonstration), self.every)

    def get(self, demonstration):
        return np.stack([np.full((self.size, self.size, 3), step, np.uint8) for step in self.steps(demonstration)])
