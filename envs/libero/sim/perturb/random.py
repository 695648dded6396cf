"""Random directions, and the rotations made of them."""

from __future__ import annotations

import numpy as np


def unit_vector(rng: np.random.Generator, size: int) -> np.ndarray:
    """[size] uniform on the sphere."""
    vector = rng.standard_normal(size)
    return vector / np.linalg.norm(vector)


def sign(rng: np.random.Generator) -> float:
    """-1 or 1."""
    return float(rng.choice((-1.0, 1.0)))


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """[3, 3] about a unit vector by an angle (rad)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
