"""Rigid poses, rotations and oriented boxes. Metres, radians, right-handed frames, rotation matrices [..., 3, 3]."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...envs.types import Array

UP = np.array([0.0, 0.0, 1.0])
DOWN = -UP
LEVEL = np.array([1.0, 1.0, 0.0])
"""Times a vector: its horizontal part."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of a frame: its origin and its axes (columns of `rotation`) in the world."""

    position: Array
    rotation: Array

    def place(self, points: Array) -> Array:
        """World coordinates of points [..., 3] given in this frame."""
        return points @ self.rotation.T + self.position

    def moved(self, offset: Array) -> Pose:
        """The same axes, the origin moved by `offset` (world)."""
        return Pose(self.position + offset, self.rotation)

    def turned(self, vector: Array) -> Pose:
        """The same origin, turned by a rotation vector (world)."""
        return Pose(self.position, exp(vector) @ self.rotation)

    def backed(self, distance: float) -> Pose:
        """Moved against its third axis: a gripper backed off along its approach."""
        return self.moved(-distance * self.rotation[:, 2])


@dataclass(frozen=True, slots=True)
class Boxes:
    """Oriented boxes in the world: centres [n, 3], axes as columns [n, 3, 3], half sizes [n, 3]."""

    center: Array
    rotation: Array
    half: Array

    def __len__(self) -> int:
        return len(self.center)

    def corners(self) -> Array:
        """[n, 8, 3]."""
        return self.center[:, None] + np.einsum("nij,nkj->nki", self.rotation, _SIGNS * self.half[:, None])

    def select(self, which: Array) -> Boxes:
        """The boxes at a mask or index."""
        return Boxes(self.center[which], self.rotation[which], self.half[which])


_SIGNS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
_EDGES = np.array([(i, j) for i in range(8) for j in range(i + 1, 8) if np.abs(_SIGNS[i] - _SIGNS[j]).sum() == 2.0])


def norm(vector: Array) -> float:
    """Length of a vector; several times faster than numpy's for three numbers."""
    return math.sqrt(float(vector @ vector))


def unit(vector: Array) -> Array:
    """The vector's direction. The zero vector stays zero."""
    length = norm(vector)
    return vector / length if length > 0.0 else vector


def clipped(vector: Array, longest: float) -> Array:
    """The vector, shortened to `longest` where it is longer."""
    length = norm(vector)
    return vector * (longest / length) if length > longest else vector


def exp(vector: Array) -> Array:
    """Rotation matrix of a rotation vector (axis times angle)."""
    angle = norm(vector)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)


def log(rotation: Array) -> Array:
    """Rotation vector of a rotation matrix, angle in [0, pi]."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    angle = math.atan2(norm(skew), float(np.trace(rotation)) - 1.0)
    if angle < 1e-9:
        return skew / 2.0
    if angle < math.pi - 1e-4:
        return skew * (angle / norm(skew))
    column = (rotation + np.eye(3))[:, int(np.argmax(np.diag(rotation)))]  # a half turn: the skew part vanishes
    return angle * unit(column)


def apart(one: Array, other: Array) -> float:
    """Angle between two rotation matrices, rad."""
    return norm(log(one @ other.T))


def from_quaternion(wxyz: Array) -> Array:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4] (w x y z)."""
    w, x, y, z = np.moveaxis(np.asarray(wxyz, dtype=float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def frame(approach: Array, closing: Array) -> Array:
    """Axes of a gripper that points along `approach` (third column) and closes along `closing` (first column)."""
    z = unit(approach)
    x = unit(closing - (closing @ z) * z)
    y = np.array([z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]])
    return np.column_stack([x, y, z])


def heading(angle: float) -> Array:
    """Horizontal unit vector at `angle` counter-clockwise from world x."""
    return np.array([math.cos(angle), math.sin(angle), 0.0])


def flat(vector: Array) -> Array:
    """Horizontal direction of a vector."""
    return unit(vector * LEVEL)


def slab(boxes: Boxes, low: float, high: float) -> Array:
    """Points [k, 3] whose convex hull is that of the boxes' part between two heights; empty where there is none."""
    ends = boxes.corners()[:, _EDGES].reshape(-1, 2, 3)
    start, way = ends[:, 0], ends[:, 1] - ends[:, 0]
    rise = np.where(np.abs(way[:, 2]) < 1e-9, 1e-9, way[:, 2])
    cuts = np.stack([(low - start[:, 2]) / rise, (high - start[:, 2]) / rise])
    enter, leave = np.clip(cuts.min(0), 0.0, 1.0), np.clip(cuts.max(0), 0.0, 1.0)
    inside = np.stack([start + enter[:, None] * way, start + leave[:, None] * way]).reshape(-1, 3)
    return inside[(inside[:, 2] > low - 1e-6) & (inside[:, 2] < high + 1e-6)]


def distance(points: Array, boxes: Boxes) -> Array:
    """[..., len(boxes)]: distance from points [..., 3] to boxes, 0 inside."""
    local = np.einsum("bij,...bi->...bj", boxes.rotation, points[..., None, :] - boxes.center)
    return np.linalg.norm(np.clip(np.abs(local) - boxes.half, 0.0, None), axis=-1)


def clearance(a: Boxes, b: Boxes) -> Array:
    """[len(a), len(b)]: a lower bound of the distance between boxes, negative where they may overlap.

    The largest gap along the six face normals of a pair. Edges that pass each other askew count as nearer than they
    are.
    """
    turn = np.matmul(a.rotation.transpose(0, 2, 1)[:, None], b.rotation[None])
    size = np.abs(turn)
    way = np.matmul(b.center[None] - a.center[:, None], a.rotation)
    gap_a = np.abs(way) - a.half[:, None] - np.matmul(size, b.half[None, :, :, None])[..., 0]
    across = np.matmul(way[:, :, None, :], turn)[:, :, 0]
    gap_b = np.abs(across) - b.half[None] - np.matmul(a.half[:, None, None, :], size)[:, :, 0]
    return np.maximum(gap_a.max(-1), gap_b.max(-1))
