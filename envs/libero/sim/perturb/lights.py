"""Axis `light`: direction, colour and strength.

LIBERO's lights cast no shadows, and neither do the changed ones: a shadow map doubles the cost of an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..camera_names import CAMERAS
from ..memory import mujoco
from .cameras import scene_centre
from .edits import Edits
from .random import rotation, sign

LOWEST = np.radians(20.0)
"""Smallest elevation of a light as seen from the scene's centre."""


def light(edits: Edits, scene: Any, values: Mapping[str, float], rng: np.random.Generator) -> None:
    """Turn all lights about the scene's centre, and give them and the camera's own light another colour and strength."""
    model = scene.model
    turn = _turn(scene, np.radians(values["direction"]), rng)
    centre = _centre(scene)
    factor = _colour(values["colour"], rng) * (1 + sign(rng) * values["strength"])
    for number in range(model.nlight):
        edits.set(model.light_pos, number, centre + turn @ (model.light_pos[number] - centre))
        edits.set(model.light_dir, number, turn @ model.light_dir[number])
        edits.set(model.light_diffuse, number, np.clip(model.light_diffuse[number] * factor, 0, 1))
    headlight = model.vis.headlight
    for array in (headlight.ambient, headlight.diffuse):
        edits.set(array, slice(None), np.clip(array * factor, 0, 1))


def _turn(scene: Any, angle: float, rng: np.random.Generator) -> np.ndarray:
    """[3, 3] about a level axis, in a direction that leaves all lights above `LOWEST`; the best of those tried."""
    rays = scene.model.light_pos - _centre(scene)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    turns = [rotation(np.array([np.cos(heading), np.sin(heading), 0.0]), angle) for heading in rng.uniform(-np.pi, np.pi, 8)]
    rises = [float((rays @ turn.T)[:, 2].min()) for turn in turns]
    high = [turn for turn, rise in zip(turns, rises, strict=True) if rise >= np.sin(LOWEST)]
    return high[0] if high else turns[int(np.argmax(rises))]


def _centre(scene: Any) -> np.ndarray:
    model, number = scene.model, scene.model.camera(CAMERAS["primary"]).id
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, model.cam_quat[number])
    return scene_centre(scene, model.cam_pos[number], -flat.reshape(3, 3)[:, 2])


def _colour(share: float, rng: np.random.Generator) -> np.ndarray:
    """[3] factors of mean 1; the largest deviation from 1 is the share."""
    deviation = rng.standard_normal(3)
    deviation -= deviation.mean()
    return 1 + share * deviation / np.abs(deviation).max()
