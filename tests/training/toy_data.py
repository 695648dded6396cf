"""Demonstrations of a toy: a bright blob on a dark image that walks to a place, moved by the first two numbers of an
action. Images are drawn from the states by a function instead of a simulator."""

import numpy as np
from nora_bench.policies.adapters import NormStats
from nora_bench.training.data.demonstrations import Demonstration

CHUNK = 5
STEP, BLOB = 0.08, 0.2
"""Way of a whole action and width of the blob, in images."""
INSTRUCTION = "pick up the milk and place it in the basket"
STATS = {"libero_object": NormStats(-np.ones(7), np.ones(7), np.array([True] * 6 + [False]))}
ENTRY = {"action": {"q01": [-1.0] * 7, "q99": [1.0] * 7, "mask": [True] * 6 + [False]}}
"""The same statistics as a checkpoint has them."""


def walk(number, steps=16):
    """One demonstration: from a drawn place to one of the corners, a little noise in what is done."""
    generator = np.random.default_rng(number)
    place, goal = generator.uniform(0.1, 0.9, 2), generator.choice([0.1, 0.9], 2)
    places, actions, labels = [], [], []
    for _ in range(steps):
        wanted = np.clip((goal - place) / STEP, -1, 1)
        done = np.clip(wanted + generator.normal(0, 0.5, 2), -1, 1)
        places.append(place)
        place = np.clip(place + STEP * done, 0, 1)
        labels.append([*wanted, 0, 0, 0, 0, -1])
        actions.append([*done, 0, 0, 0, 0, -1])
    return Demonstration(
        key=f"toy/{number}",
        suite="libero_object",
        task="toy",
        instruction=INSTRUCTION,
        actions=np.array(actions),
        labels=np.array(labels),
        states=np.array(places),
        pushed=np.zeros(steps, bool),
        robot_states=np.zeros((steps, 0)),
    )


class ToyImages:
    """Fulfils `dataset.ImageSource`, for an image of every step at any size."""

    def __init__(self, size=32):
        self.size = size

    def steps(self, demonstration):
        return range(len(demonstration))

    def get(self, demonstration):
        grid = (np.arange(self.size) + 0.5) / self.size
        x, y = (demonstration.states[:, axis, None] - grid for axis in (0, 1))
        blobs = np.exp(-(x[:, None] ** 2 + y[:, :, None] ** 2) / (2 * BLOB**2))
        return np.round(blobs[..., None] * (250, 200, 60)).astype(np.uint8)
