"""Rotations as quaternions w, x, y, z. The order of the operations is part of recorded results: do not rearrange them."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def from_axis_angle(rotation: Array) -> Array:
    """[4] unit quaternion of an axis-angle vector (rad)."""
    angle = float(np.linalg.norm(rotation))
    scale = 0.5 if angle < 1e-12 else np.sin(angle / 2) / angle
    return np.array([np.cos(angle / 2), *(scale * rotation)])


def rotate(quaternion: Array, vector: Array) -> Array:
    """[3] vector rotated by a unit quaternion."""
    w, axis = quaternion[0], quaternion[1:]
    return vector + 2.0 * np.cross(axis, np.cross(axis, vector) + w * vector)


def angle_degrees(first: Array, second: Array) -> float:
    """Angle between two orientations, 0 to 180 degrees; any order of the four components."""
    return float(np.degrees(2 * np.arccos(min(1.0, abs(float(np.dot(first, second)))))))
