"""Axes `camera` and `wrist`: pose and field of view of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..camera_names import CAMERAS
from ..memory import mujoco
from .edits import Edits
from .random import rotation, sign, unit_vector

ELEVATION = (np.radians(15.0), np.radians(80.0))
"""Allowed elevation of the primary camera as seen from the scene's centre: it stays above the table, and upright."""

ATTEMPTS = 16
"""Random poses among which one shows everything."""
INSIDE = 0.92
"""Part of half the image's side within which a point counts as shown."""


@dataclass(frozen=True, slots=True)
class View:
    """A camera fixed in the world."""

    position: np.ndarray
    """[3] m."""
    frame: np.ndarray
    """[3, 3] columns: right, up, backward."""
    fovy: float
    """Degrees."""

    def shows(self, points: np.ndarray) -> np.ndarray:
        """[points] bool: inside the square image, not at its edge, from [points, 3] m."""
        x, y, depth = ((points - self.position) @ self.frame).T
        reach = INSIDE * np.tan(np.radians(self.fovy) / 2) * -depth
        return (np.abs(x) < reach) & (np.abs(y) < reach)


def camera(edits: Edits, scene: Any, values: Mapping[str, float], rng: np.random.Generator, row: np.ndarray) -> None:
    """Move the primary camera on a sphere about the scene's centre and off it, and change its orientation and field of view.

    The first of several that shows all that the camera showed before: the origins of objects and fixtures.
    """
    model, number = scene.model, scene.model.camera(CAMERAS["primary"]).id
    before = primary_view(model)
    points = _origins(scene, row)
    points = points[before.shows(points)]
    views = [_moved(before, scene, values, rng) for _ in range(ATTEMPTS)]
    shown = [int(view.shows(points).sum()) for view in views]
    after = views[shown.index(max(shown))]
    edits.set(model.cam_pos, number, after.position)
    edits.set(model.cam_quat, number, _quaternion(after.frame))
    edits.set(model.cam_fovy, number, after.fovy)


def primary_view(model: Any) -> View:
    """The primary camera as it is now."""
    number = model.camera(CAMERAS["primary"]).id
    return View(model.cam_pos[number].copy(), _matrix(model.cam_quat[number]), float(model.cam_fovy[number]))


def _moved(view: View, scene: Any, values: Mapping[str, float], rng: np.random.Generator) -> View:
    centre = scene_centre(scene, view.position, -view.frame[:, 2])
    heading = rng.uniform(-np.pi, np.pi)
    turn = _on_sphere(view.position - centre, np.radians(values["sphere"]) * np.array([np.cos(heading), np.sin(heading)]))
    position = centre + turn @ (view.position - centre) * (1 + sign(rng) * values["distance"])
    frame = turn @ view.frame @ rotation(unit_vector(rng, 3), np.radians(values["tilt"]))
    return View(position, frame, view.fovy * (1 + sign(rng) * values["fov"]))


def _origins(scene: Any, row: np.ndarray) -> np.ndarray:
    """[things, 3] m: objects in an initial state, and fixtures."""
    joints = [scene.model.joint(thing.joints[-1]) for thing in scene.inner.objects_dict.values()]
    objects = [row[1 + int(joint.qposadr[0]) :][:3] for joint in joints]
    return np.array([*objects, *(pose[:3] for pose in scene.fixture_poses().values())])


def wrist(edits: Edits, scene: Any, values: Mapping[str, float], rng: np.random.Generator) -> None:
    """Move and tilt the wrist camera on its mount, and change its field of view."""
    model, number = scene.model, scene.model.camera(CAMERAS["wrist"]).id
    frame = _matrix(model.cam_quat[number])
    edits.set(model.cam_pos, number, model.cam_pos[number] + 1e-3 * values["offset"] * unit_vector(rng, 3))
    edits.set(model.cam_quat, number, _quaternion(frame @ rotation(unit_vector(rng, 3), np.radians(values["tilt"]))))
    edits.set(model.cam_fovy, number, model.cam_fovy[number] * (1 + sign(rng) * values["fov"]))


def scene_centre(scene: Any, position: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """[3] m: where a line from the camera meets the height of the table's top, or of the floor where objects stand on it."""
    height = float(scene.inner.workspace_offset[2])
    return position + direction * (height - position[2]) / direction[2]


def _on_sphere(offset: np.ndarray, arc: np.ndarray) -> np.ndarray:
    """[3, 3] the rotation that moves a point by an arc (right, up; rad) on the sphere about the origin and keeps up upright.

    The upward part is reversed where the point would leave the allowed elevations.
    """
    elevation = np.arctan2(offset[2], np.hypot(offset[0], offset[1]))
    low, high = ELEVATION
    rise = arc[1] if low <= elevation + arc[1] <= high else -arc[1]
    level = np.array([offset[0], offset[1], 0.0]) / np.hypot(offset[0], offset[1])
    right = np.cross([0.0, 0.0, 1.0], level)
    return rotation(np.array([0.0, 0.0, 1.0]), arc[0] / np.cos(elevation)) @ rotation(right, -rise)


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, quaternion)
    return flat.reshape(3, 3)


def _quaternion(matrix: np.ndarray) -> np.ndarray:
    found = np.empty(4)
    mujoco.mju_mat2Quat(found, np.ascontiguousarray(matrix).ravel())
    return found
